"""The embedded Reber grammar in plain Python (1997 paper, Experiment 1)."""

import re
from collections import Counter

SYMBOLS = "BTPSXVE"

# Each node: letter -> next node. Where there are two letters, each has probability 1/2.
ARCS = {
    "start": {"B": "begin"},
    "begin": {"T": 1, "P": 2},
    1: {"S": 1, "X": 3},
    2: {"T": 2, "V": 4},
    3: {"X": 2, "S": "end"},
    4: {"P": 3, "V": "end"},
    "end": {"E": "done"},
    "done": {},
}

# The same language once more, the nodes eliminated by hand: from node 2 and from node 3 to the end.
NODE_3 = "(?:XT*VP)*(?:S|XT*VV)"
NODE_2 = f"T*V(?:V|P{NODE_3})"
EMBEDDED = re.compile(f"B([TP])B(?:TS*X{NODE_3}|P{NODE_2})E\\1E")


def accepts(string):
    """Whether the string is in the language, by the regular expression."""
    return EMBEDDED.fullmatch(string) is not None


def successors(prefix):
    """The letters that may follow a prefix of an embedded string, by the automaton."""
    if len(prefix) < 2:
        return {"B"} if prefix == "" else {"T", "P"}
    node, rest = "start", prefix[2:]
    while rest and node != "done":
        node, rest = ARCS[node][rest[0]], rest[1:]
    if node != "done":
        return set(ARCS[node])
    # After the inner string: the second letter once more, then E, then nothing.
    return [{prefix[1]}, {"E"}, set()][len(rest)]


def probability(string):
    """Of drawing this string."""
    product = 1.0
    for n in range(len(string)):
        product /= len(successors(string[:n]))
    return product


def strings(longest):
    """All embedded strings of at most so many letters."""
    unfinished, found = [""], []
    while unfinished:
        prefix = unfinished.pop()
        if len(prefix) > longest:
            continue
        following = successors(prefix)
        if not following:
            found.append(prefix)
        unfinished += [prefix + letter for letter in following]
    return found


def length_probabilities(longest):
    """{number of letters: probability} of embedded strings, by walking the automaton."""
    at, probabilities = {"start": 1.0}, {}
    for num_inner in range(1, longest - 3):
        following = Counter()
        for node, share in at.items():
            for node_after in ARCS[node].values():
                following[node_after] += share / len(ARCS[node])
        probabilities[num_inner + 4] = following.pop("done", 0.0)  # four letters around it
        at = following
    return probabilities
