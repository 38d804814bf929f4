"""Certificates: split trees that let a stranger re-check a proof with arithmetic alone.

A certificate is one JSON document, sorted keys, no spaces:

    {"format": 1,
     "programs": [DIGEST, ...],       # of the program that was proved, and of the other one where two are compared
     "parts": [PART, ...]}            # every part must be accepted; a monotone claim has one part for each threshold

    PART = {"sum": [VIEW, ...],       # what is bounded: F(x) = Σ over views of weights · margin(program, x with set)
            "query": [SPAN, ...],     # the box that the claim speaks of, one span for each input of the program
            "rules": [RULE, ...],     # ties between inputs; [] for none
            "goal": g,                # claimed: F(x) < g for every x of the query that keeps the rules
            "slack": s,               # covers rounding; see below
            "tokens": "n 3 17 m 5 6 end end ..."}

    VIEW = {"program": 0, "weights": [w, ...], "set": {"PLACE": value}}   # weights: one an output; the sign is in them
    SPAN = [low, high, missing, whole]         # a number: null for no end; missing, whole: booleans
         | [[code, ...], missing]              # a category: the codes that it may have; missing stands for every
                                               # value that is none of the levels, too
    RULE = {"one_of": [place, ...]} | {"at_least": [a, b]}
    DIGEST: `Program.digest`. SHA-256 over the parts, each behind its length as 8 bytes little-endian: the bytes of
    program.json, then for each term n and each key in sorted order "n.key:" and the digest of the array, which is
    SHA-256 likewise over str(dtype, little-endian), str(shape) and the bytes in C order.

In `set`, a value is the input as the program reads it (a number, a code), or null for missing.

**Rank space.** An input is a category if a categorical node reads it, else a number. Of a number, every threshold t of
every numeric node of every program in the sum becomes the largest double x that goes left there, for the span's own
kind of numbers:

1. a narrow term (rows rounded to float32): f = the largest float32 ≤ t; x = the largest double that rounds to a float32
   ≤ f. Any other term: x = t if |t| > Z or t = Z, where Z = float32(1e-35); x = Z if 0 ≤ t < Z; x = the double below −Z
   if −Z ≤ t < 0 (what lies within Z of 0 is read as 0).
2. if the span is whole (a category's span is): x = floor(x).
3. if a node of the input has missing kind "zero", 0 stands outside the order (below), and an x within Z of 0 becomes
   the largest number below: −1 if whole, else the double below −Z.

The distinct x below +inf in ascending order are the cuts c₀ < c₁ < …; value v lies in cell #{c < v}. A node with
x = cᵢ sends cells ≤ i left; one with x = +inf sends all of them left. A query of a number is the cells from that of low
to that of high, and special bits: bit 0 if it may be missing, bit 1 if some node of the input has missing kind "zero"
and low ≤ Z and high ≥ −Z. Ends of a whole span are first rounded inwards; then, where bit 1 is in use, an end within Z
of 0 moves inwards past it (to ±1 if whole, else to the next double beyond Z). If low > high then, there are no cells.
Missing goes as the node says: kind "none" as the number 0, else by its default; bit 1: kind "zero" by its default,
else as the number 0.
A category is a mask: bit 0 missing or unknown, bit 1 + c the code c, for c below the input's levels, or up to the
highest code that any node lists if that is more. Code c goes left where it is listed, bit 0 goes right.

**Tokens**, in preorder, from the query box. A box holds, of each input, cells lo…hi and a mask of bits.

    n F C    cut cells of number F. First child: cells ≤ C and all bits of F. Second: cells > C and no bits of F.
             Legal if lo ≤ C < hi.
    m F M    divide bits; M in lower hex. First child: the bits of M and no cells. Second: the other bits, and the
             cells. Legal if the box has some bit of M, and something of F that is not in M.
    end      bound of the box + slack < goal
    empty R  rule R leaves no row in the box. `at_least` [a, b]: neither may be missing (bit 0), and the largest a < the
             smallest b, over their cells and, under bit 1, the number 0. The largest of cells …hi: least of the query's
             high and the cut at hi; the smallest of cells lo…: largest of the query's low and of what lies above the
             cut at lo − 1, which is the next double, or if whole the larger of it and the cut + 1. Ends of the query
             are as moved above, and so is the smallest of the cells: where bit 1 is in use, past what is near 0.
             `one_of`: no member can be 1 (1 is in none of its cells), or some member can be neither 0 nor 1, or two
             members cannot be 0. Members are whole numbers from 0 to 1 that are never missing.

Children follow their parent, the first with all that is below it, then the second. Spare or missing tokens are
refused.

**Bound** of a box: base, plus for every tree the greatest value among what of it meets the box. Two boxes meet if in
every input the cells overlap or a bit is shared.

- Leaf values: weights · leaf / divisor; of a leaf of one value, weights[output of the tree] · leaf / divisor. Base: the
  sum of weights · base over terms.
- Views of one program whose `set` differ are joined tree by tree: each leaf that the first view can reach with its
  `set` inputs fixed (the leaf holds those cells or bits, and then no longer restricts these inputs), with each of the
  second view, if the two meet each other, in all that they still restrict; the box of the pair is what both allow, its
  value the sum. Pairs are bounded as leaves are. Views of different programs are different trees.

**Slack**: for every view, T · 2⁻⁵² · (Σ over trees of max |leaf value| + Σ |base|), T = trees + terms + 1; added up
over views. A checker computes it anew and takes the larger of both.

**Tables with pairs** may have `order N P…` in place of a split tree, and **networks** have views and tokens of their
own: `checker/README.md` gives both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipworthy.core.canon import canonical


@dataclass(frozen=True)
class Part:
    """One split tree and what it bounds; see the format above."""

    sum: tuple[dict[str, Any], ...]
    query: tuple[list[Any], ...]
    rules: tuple[dict[str, Any], ...]
    goal: float
    slack: float
    tokens: str


@dataclass(frozen=True)
class Certificate:
    """What proves a claim. programs: digests, in the order in which views number them."""

    programs: tuple[str, ...]
    parts: tuple[Part, ...]

    def text(self) -> bytes:
        """The document."""
        return canonical({"format": 1, "programs": list(self.programs), "parts": [vars(part) for part in self.parts]})
