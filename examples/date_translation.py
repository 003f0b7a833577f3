"""
Translate dates with an encoder and a decoder
=============================================

An encoder and a decoder that read dates as people write them, "9 may 2031", and write them as "2031-05-09".

The decoder starts from the encoder's states, attends to what the encoder has read, and is trained with what it should have
written so far. To write, the same layers are joined to two other models: one reads a date, the other writes letter by letter.
"""

import argparse
import datetime

import numpy as np

import lamella as keras
from lamella import Input, Model, layers

FORMATS = ("%d %B %Y", "%b %d %Y", "%d.%m.%Y")
LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789.-"
START = len(LETTERS)
LONGEST, WRITTEN = 17, 10


def coded(texts, length):
    return np.array([[LETTERS.index(c) for c in text.ljust(length)] for text in texts], "int32")


def dates(rows, rng):
    days = [datetime.date(2000, 1, 1) + datetime.timedelta(days=int(n)) for n in rng.integers(0, 36524, rows)]
    read = [day.strftime(FORMATS[i]).lower() for day, i in zip(days, rng.integers(0, len(FORMATS), rows), strict=True)]
    return read, [day.isoformat() for day in days]


def make_models(units):
    source, target = Input((LONGEST,), dtype="int32", name="read"), Input((None,), dtype="int32", name="written")
    encoder = layers.Bidirectional(layers.LSTM(units // 2, return_sequences=True, return_state=True))
    memory, h, c, other_h, other_c = encoder(layers.Embedding(len(LETTERS), 16)(source))
    states = [layers.concatenate([h, other_h]), layers.concatenate([c, other_c])]
    embed, decoder = (
        layers.Embedding(len(LETTERS) + 1, 16),
        layers.LSTM(units, return_sequences=True, return_state=True),
    )
    attention, scores = layers.Attention(), layers.Dense(len(LETTERS))

    def decode(target, memory, states):
        y, h, c = decoder(embed(target), initial_state=states)
        return scores(layers.concatenate([y, attention([y, memory])])), h, c

    training = Model([source, target], decode(target, memory, states)[0])
    training.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["sparse_categorical_accuracy"],
    )
    reader = Model(source, [memory, *states])
    before = [Input((LONGEST, units), name="memory"), Input((units,), name="h"), Input((units,), name="c")]
    writer = Model([target, *before], list(decode(target, before[0], before[1:])))
    return training, reader, writer


def translate(reader, writer, texts):
    memory, *states = reader.predict(coded(texts, LONGEST), verbose=0)
    letters = np.full((len(texts), 1), START, "int32")
    written = []
    for _ in range(WRITTEN):
        scores, *states = writer.predict([letters, memory, *states], verbose=0)
        letters = scores.argmax(-1).astype("int32")
        written.append(letters[:, 0])
    return ["".join(LETTERS[code] for code in row) for row in np.stack(written, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer dates and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    read, written = dates(3000 if quick else 20000, rng)
    x, y = coded(read, LONGEST), coded(written, WRITTEN)
    before = np.concatenate([np.full((len(y), 1), START, "int32"), y[:, :-1]], axis=1)
    training, reader, writer = make_models(32 if quick else 64)
    training.fit([x, before], y, batch_size=64, epochs=9, verbose=2)
    read, written = dates(200, rng)
    found = translate(reader, writer, read)
    for text, date in list(zip(read, found, strict=True))[:4]:
        print(f"{text!r} -> {date!r}")
    right = np.mean([a == b for f, w in zip(found, written, strict=True) for a, b in zip(f, w, strict=True)])
    print(
        f"right letters {right:.4f}, right dates {np.mean([f == w for f, w in zip(found, written, strict=True)]):.4f}"
    )


if __name__ == "__main__":
    main()
