"""Templates that would never end or fill the memory: on real workers, each message with a good one beside it."""

from __future__ import annotations

import asyncio

from tests.integration.renderer.rig import Start

HUGE = 2_000_000_000
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}BODY{% endfor %}{% endfor %}"
GROW = "{% set ns = namespace(v=START) %}{% for i in range(60) %}{% set ns.v = STEP %}{% endfor %}"
MEMORY, NEVER, REFUSED, OUTPUT = "needs too much memory", "took too long", "not allowed", "prints more than"
ENDLESS = "without end"
BOMBS = {
    "repetition": [
        ("{{ 'ab' * huge }}", REFUSED),
        ("{{ huge * [1] }}", REFUSED),
        ("{{ range(huge)|list }}", "Range too big"),
        ("{{ range(huge)|random }}", "Range too big"),
    ],
    "numbers": [
        ("{{ 9999 ** 99999999 }}", REFUSED),
        (GROW.replace("START", "9999").replace("STEP", "ns.v * ns.v"), NEVER),
        ("{{ 5|round(-huge) }}", NEVER),
        ("{{ (1).to_bytes(huge, 'big') }}", MEMORY),
    ],
    "text that grows": [
        (GROW.replace("START", "'ab'").replace("STEP", "ns.v + ns.v"), MEMORY),
        (GROW.replace("START", "'ab'").replace("STEP", "ns.v ~ ns.v"), MEMORY),
        ("{{ ('a' * 1000000)|replace('', 'b' * 1000000) }}", MEMORY),
        ("{{ ('x' * 1000000).translate({120: 'y' * 1000000}) }}", MEMORY),
        ("{{ range(100000)|join('x' * 1000000) }}", MEMORY),
        ("{{ range(100000)|map('string')|map('center', 100000)|list }}", MEMORY),
    ],
    "widths": [
        ("{{ 'x'|center(huge) }}", MEMORY),
        ("{{ 'x'.ljust(huge) }}", MEMORY),
        ("{{ 'x'.zfill(huge) }}", MEMORY),
        ("{{ '\t'.expandtabs(huge) }}", MEMORY),
        ("{{ 'x'|indent(huge, true) }}", MEMORY),
        ("{{ {'a': [1]}|tojson(indent=huge) }}", MEMORY),
    ],
    "format strings": [
        ("{{ '%1000000000d' % x }}", MEMORY),
        ("{{ '%*d' % (huge, 1) }}", MEMORY),
        ("{{ '%0*d'|format(huge, 1) }}", MEMORY),
        ("{{ '{:1000000000}'.format(x) }}", MEMORY),
        ("{{ '{:{w}}'.format(1, w=huge) }}", MEMORY),
    ],
    "lists": [
        ("{{ [1]|batch(huge, 'x')|list }}", MEMORY),
        ("{{ [1]|slice(huge)|list }}", NEVER),
    ],
    "output": [
        (LOOP.replace("BODY", "x" * 50), OUTPUT),
        ("{{ '<' * 1000000 }}", OUTPUT),
        ("{% macro m() %}" + "{{ 'x' * 900000 }}" * 3 + "{% endmacro %}{{ m() }}", OUTPUT),
        ("{% set s %}" + "{{ 'x' * 900000 }}" * 3 + "{% endset %}{{ s }}", OUTPUT),
    ],
    "loops and recursion": [
        (LOOP.replace("BODY", ""), NEVER),
        ("{% include 'inner.html' %}", ENDLESS),
        ("{% import 'inner.html' as i with context %}", ENDLESS),
        ("{% include 'extends-itself.html' %}", ENDLESS),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", ENDLESS),
        ("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", ENDLESS),
        ("{% block b %}{% if x %}{{ self.b() }}{% endif %}{% endblock %}", ENDLESS),
    ],
}


async def test_bomb_is_refused_or_killed_alone_and_its_line_named(start: Start) -> None:
    renderer = await start(render_workers=2, render_timeout=0.5, render_memory=512 * 1024**2, max_message=2_000_000)
    table = [bomb for family in BOMBS.values() for bomb in family]
    branches = "".join(f"{{% if bomb == {n} %}}{source}{{% endif %}}\n" for n, (source, _) in enumerate(table))
    renderer.write("outer.html", "{{ content }}")
    renderer.write("inner.html", branches + "good")
    renderer.write("extends-itself.html", "{% extends 'extends-itself.html' %}")
    recipients = [{"id": f"{n}", "context": {"bomb": n, "x": 1, "huge": HUGE}} for n in range(len(table))]
    mates = [{"id": f"mate {n}", "context": {"bomb": -1}} for n in range(len(table))]
    slices = [[message for n in numbers for message in (recipients[n], mates[n])] for numbers in _halves(len(table))]
    answers = [answer for part in await asyncio.gather(*[renderer.render(*part) for part in slices]) for answer in part]
    failures = {answer.id: answer.failure.text for answer in answers if answer.HasField("failure")}
    assert sorted(failures, key=int) == [recipient["id"] for recipient in recipients]
    for n, (source, said) in enumerate(table):
        place, _, text = failures[str(n)].partition(": ")
        expected = ("extends-itself.html, line 1",) if "itself" in source else (f"inner.html, line {n + 1}",)
        # Which limit comes first may depend on how fast and how busy the machine is.
        either = (said, MEMORY, NEVER) if said in {MEMORY, NEVER, ENDLESS} else (said,)
        assert any(words in text for words in either), (source, failures[str(n)])
        assert place in expected, (source, failures[str(n)])


def _halves(count: int) -> tuple[range, range]:
    return range(0, count, 2), range(1, count, 2)
