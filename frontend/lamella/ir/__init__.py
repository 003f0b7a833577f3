"""Plain data and tracing: specs, values, equations, programs, and the code that builds, checks and runs them."""
