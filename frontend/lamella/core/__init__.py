"""What a trace of a model is made of: variables, dtype policies, the context of a call, and the registry of classes."""
