"""What a case measures with: the tool, the shared numbers, and the bars.

The interpreter is held to the bar that each comparison brings. Compiled code rounds, so its bar is that of
the kind of number (BARS), or, where this is more, SAFETY times what the reference itself is off when numpy
computes it with numbers as short (`rough`: the worst of three runs, SAMPLES; printed beside the bar;
computed where a bar needs it, with --rough always). Two ways to round differ by about sqrt(2) of one, another order of sums
and another exp by some more. No bar is ever set from what compiled code gives."""
import json
import math
import os

import numpy as np

import files
import tape

# Bars of compiled code: of the worst tensor, or (of the median tensor, of the worst). None: such numbers
# say nothing at this precision and are not compared.
BARS = {
    "values":    {"f32": 3e-5, "bf16": 8e-2},
    "loss":      {"f32": 1e-5, "bf16": 3e-3},
    "small loss": {"f32": 1e-5, "bf16": 1e-2},       # of ten or twenty tokens, over which little averages out
    "gradients": {"f32": 3e-5, "bf16": (3e-2, 0.5)},
    "curve":     {"f32": 3e-5, "bf16": 1.5e-2},      # losses of 20 steps of training
    "weights":   {"f32": 3e-5, "bf16": None},        # after them
    "updates":   {"f32": (1e-3, 1e-2), "bf16": None},
    "rwkv7":     {"f32": 2e-5, "bf16": 6e-2},        # logits of the tiny models
    "older":     {"f32": 5e-5, "bf16": 0.25},
    "recurrence": {"f32": 2e-6, "bf16": 1e-2},       # up to 50 steps
    "long":      {"f32": 1e-5, "bf16": 5e-2},        # 4096 steps
    "digits10":  {"f32": 1e-3, "bf16": None},        # logits of the digit reverser
    "digits20":  {"f32": 2e-3, "bf16": None},
    "digits60":  {"f32": 1e-2, "bf16": None},
    "picture":   {"f32": 5e-6, "bf16": 4e-2},
    "formulas":  {"f32": 1e-6, "bf16": 1e-6},        # first values; those are float32 always
    "exact":     {"f32": 0, "bf16": 0},
}
SAFETY = {"f32": 4, "bf16": 3}
SAMPLES = {"f32": (("f32", None), ("f32", 1), ("f32", 2)),
           "bf16": (("bf16", None), ("bf16", 1), ("all bf16", None))}
USELESS = {"f32": 1e-3, "bf16": 0.25}    # where the rough reference is off by more, nothing can be said


class Skip(Exception):
    pass


def squeeze(a):
    """Without the axes of length 1, by which files differ."""
    return np.asarray(a).reshape([n for n in np.shape(a) if n != 1])


def distance(got, wanted, relative):
    """Largest difference, or with relative the L2 norm of the difference over that of wanted."""
    d = squeeze(got).ravel().astype(np.float64) - squeeze(wanted).ravel()
    if not np.isfinite(d).all():
        return math.inf
    if relative and np.any(wanted):
        return np.linalg.norm(d)/np.linalg.norm(np.float64(wanted))
    return np.abs(d).max(initial=0)


class Rough:
    """Three samples of (loss, results, gradients) of a reference whose operations are rounded."""

    def __init__(self, fn, dtype):
        self.fn, self.dtype, self.samples = fn, dtype, None

    def part(self, i):
        """() -> what part i is in each of the samples."""
        def now():
            if self.samples is None:
                self.samples = []
                for kind, seed in SAMPLES[self.dtype]:
                    with tape.precision(kind, seed):
                        self.samples.append(self.fn())
            return [s[i] for s in self.samples]
        return now


class Bench:
    """lines: (what, error, bar, error of the rough reference or None) of all that was measured."""

    def __init__(self, tool, shared, always=False):
        """always: the rough references are computed even where they are not needed."""
        self.tool, self.shared, self.always, self.lines = tool, shared, always, []
        self.compiled, self.dtype = tool.mode == "run", tool.dtype

    def data(self, *names):
        """The path of a file of the shared folder."""
        path = os.path.join(self.shared or "", "data", *names)
        if not self.shared or not os.path.exists(path):
            raise Skip("the shared folder has no %s" % "/".join(("data",) + names)
                       if self.shared else "no shared folder")
        return path

    def ref(self, name):
        path = self.data("ref", name)
        return files.load(path) if path.endswith(".safetensors") else (
            json.load(open(path)) if path.endswith(".json") else np.load(path))

    def rough(self, fn):
        """fn() -> (loss, results, gradients) on the tape: each of them as `rough` below wants it."""
        rough = Rough(fn, self.dtype)
        return [rough.part(i) if self.compiled else None for i in range(3)]

    def note(self, what, error, bar, rough=None):
        self.lines.append((what, float(error), bar, rough))

    def bar(self, bar, kind, rough=None):
        """(of the median, of the worst); None: not compared."""
        if self.compiled:
            bar = BARS[kind][self.dtype]
        if bar is None:
            return None
        median, worst = bar if isinstance(bar, tuple) else (math.inf, bar)
        return median, worst if rough is None else max(worst, SAFETY[self.dtype]*rough)

    def needed(self, error, bar):
        return self.always or self.dtype != "f32" or not error <= bar

    def close(self, what, got, wanted, bar, kind="values", relative=False, rough=None):
        got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
        if squeeze(got).shape != squeeze(wanted).shape:
            self.note("%s: shape %s, wanted %s" % (what, got.shape, wanted.shape), math.inf, bar)
            return
        if self.bar(bar, kind) is None:
            return
        error, floor = distance(got, wanted, relative), None
        if rough and self.needed(error, self.bar(bar, kind)[1]):
            floor = max(distance(r, wanted, relative) for r in rough())
            if not floor <= USELESS[self.dtype]:
                if self.dtype == "f32":
                    raise ValueError("%s: the rough reference is off by %g" % (what, floor))
                self.note(what + ", too rough to compare", 0, 0)
                return
        self.note(what, error, self.bar(bar, kind, floor)[1], floor)

    def all_close(self, what, got, wanted, bar, kind="values", zeros=True, rough=None, like=None):
        """Tensor by tensor by relative L2, where 1e-8 of the longest is the least length; says the one
        nearest to its bar. A tensor that is zero, or wanted by nobody, must be exactly zero or absent.
        like={"a": "b"}: `a` is a sum that is zero in exact arithmetic, of terms as large as those of
        `b`: it is measured by the length of `b`."""
        worst, errors, floors, like = (0.0, 0.0, 1.0, None, "none"), [], [], like or {}
        least = 1e-8*max([np.linalg.norm(w) for w in wanted.values()], default=0)
        if self.bar(bar, kind) is None:
            return
        for k, w in wanted.items():
            if not np.any(w) and (k not in like or k not in got):
                continue
            length = max(np.linalg.norm(wanted[like.get(k, k)]), least)
            away = lambda x: np.linalg.norm(squeeze(x).ravel() - np.float64(squeeze(w).ravel()))/length
            name, floor = k, None
            if k not in got:
                e, name = math.inf, k + " is missing"
            elif squeeze(got[k]).shape != squeeze(w).shape:
                e, name = math.inf, "%s has shape %s" % (k, got[k].shape)
            else:
                e = away(got[k])
            if rough and self.needed(e, self.bar(bar, kind)[1]):
                floor = max(away(r[k]) for r in rough())
            limit = self.bar(bar, kind, floor)[1]
            errors.append(e)
            floors.append(floor or 0)
            if floors[-1] <= USELESS[self.dtype] and not e/limit <= worst[0]:
                worst = e/limit, e, limit, floor, name
        median, useless = self.bar(bar, kind)[0], sum(not f <= USELESS[self.dtype] for f in floors)
        if useless and self.dtype == "f32":
            raise ValueError("%s: of %d tensors of the rough reference %d are useless" % (what, len(floors), useless))
        if useless:
            self.note("%s, %d of %d too rough to compare" % (what, useless, len(floors)), 0, 0)
        if errors and median < math.inf and useless <= len(floors)/4:
            floor = np.median(floors) if rough else None
            self.note(what + ", median", np.median(errors), max(median, SAFETY[self.dtype]*(floor or 0)), floor)
        if worst[4] != "none":
            self.note("%s, worst %s" % (what, worst[4]), *worst[1:4])
        else:
            self.note("%s, worst none" % what, 0, self.bar(bar, kind)[1])
        if zeros:
            extra = [k for k in got if k not in like and np.any(got[k]) and not np.any(wanted.get(k, 0))]
            self.note("%s, zeros%s" % (what, ": " + extra[0] if extra else ""), len(extra), 0)
