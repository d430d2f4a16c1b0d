"""Compiles one template, and says what it refers to and what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import BaseLoader, meta, nodes

from morpheus_kit.reasons import ReasonCode
from services.renderer.environment import MARKDOWN, Sandbox
from services.renderer.failures import explain
from services.renderer.filters import Formats
from services.renderer.frames import Compile, Compiled, Description, Reference
from services.renderer.markdown import written
from services.renderer.shared_cache import CompiledTemplate

LARGEST_CODE = 16 * 1024 * 1024
NOT_LITERAL = "names of included templates must be literal, so that their versions can be pinned"
NOT_TEXT = "the file is not UTF-8 text"

# What fails when it is folded is left as it is: code that was compiled strictly is good for lenient groups too.
_HTML = Sandbox(html=True, strict=True, loader=BaseLoader(), formats=Formats())
_MARKDOWN = Sandbox(html=True, strict=True, loader=BaseLoader(), formats=Formats(), finalize=written)
_TEXT = Sandbox(html=False, strict=True, loader=BaseLoader(), formats=Formats())


def compile_template(order: Compile) -> Compiled:
    """The file for the shared cache and the references, or why there are none."""
    try:
        source = order.source.decode()
    except UnicodeDecodeError as exc:
        line = order.source.count(b"\n", 0, exc.start) + 1
        return _refused(f"{order.path}, line {line}: {NOT_TEXT}", line)
    try:
        tree = _TEXT.parse(source, order.path)
        found = references(tree, order.path)
        if found.code:
            return found
        escaping = _MARKDOWN if order.path.endswith(MARKDOWN) else _HTML
        html, plain = (sandbox.compile(source, order.path, order.path) for sandbox in (escaping, _TEXT))
        content = CompiledTemplate.pack(html, plain)
    except Exception as exc:  # noqa: BLE001  whatever a template's source can raise concerns that template only
        error = explain(exc)
        text = error.text if order.path in error.text else f"{order.path}: {error.text}"
        return Compiled(code=error.code.value, text=text, line=getattr(exc, "lineno", 0))
    if len(content) > LARGEST_CODE:
        return _refused(f"{order.path}: it compiles to more than {LARGEST_CODE} bytes")
    return Compiled(found.required, found.optional, content=content)


def describe_template(order: Compile) -> Description:
    """What a template that can be compiled reads, sets and refers to; or why it cannot."""
    compiled = compile_template(order)
    if compiled.code:
        return Description(code=compiled.code, text=compiled.text, line=compiled.line)
    tree = _TEXT.parse(order.source.decode(), order.path)
    found = sorted(_references(tree), key=lambda reference: reference.line)
    return Description(sorted(meta.find_undeclared_variables(tree)), sorted(_names_set(tree)), found)


def references(tree: nodes.Template, path: str) -> Compiled:
    """The templates that `tree` (parsed from `path`) extends, includes and imports."""
    required: list[list[str]] = []
    optional: list[str] = []
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        names = _literal_names(node.template)  # type: ignore[attr-defined]  # all four have it
        if names is None:
            return _refused(f"{path}, line {node.lineno}: {NOT_LITERAL}", node.lineno)
        if isinstance(node, nodes.Include) and node.ignore_missing:
            optional.extend(names)
        else:
            required.append(names)
    return Compiled(required, optional)


def _references(tree: nodes.Template) -> Iterator[Reference]:
    """Of a template whose names are all literal."""
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        kind = {nodes.Extends: "extends", nodes.Include: "include"}.get(type(node), "import")
        names = _literal_names(node.template) or []  # type: ignore[attr-defined]  # all four have it
        optional = isinstance(node, nodes.Include) and node.ignore_missing
        yield Reference(kind, names, node.lineno, optional, getattr(node, "with_context", True))


def _names_set(tree: nodes.Template) -> Iterator[str]:
    """Names that what it includes or extends finds set: by `set`, `for`, `with`, `import` and `macro`."""
    for node in tree.find_all((nodes.Name, nodes.With, nodes.Macro, nodes.Import, nodes.FromImport)):
        if isinstance(node, nodes.Name) and node.ctx == "store":
            yield node.name
        elif isinstance(node, nodes.With):
            yield from (name.name for target in node.targets for name in _names_in(target))
        elif isinstance(node, nodes.Macro):
            yield node.name
        elif isinstance(node, nodes.Import):
            yield node.target
        elif isinstance(node, nodes.FromImport):
            yield from (name if isinstance(name, str) else name[1] for name in node.names)


def _names_in(target: nodes.Node) -> Iterator[nodes.Name]:
    return iter([target]) if isinstance(target, nodes.Name) else target.find_all(nodes.Name)


def _refused(text: str, line: int = 0) -> Compiled:
    return Compiled(code=ReasonCode.TEMPLATE_INVALID.value, text=text, line=line)


def _literal_names(node: nodes.Expr) -> list[str] | None:
    """None when a name is known only while rendering."""
    if isinstance(node, nodes.Const):
        values: list[Any] = list(node.value) if isinstance(node.value, (tuple, list)) else [node.value]
        return values if all(isinstance(value, str) for value in values) else None
    if isinstance(node, (nodes.Tuple, nodes.List)):
        names = [_literal_names(item) for item in node.items]
        return None if any(name is None for name in names) else [name for part in names for name in part or []]
    return None
