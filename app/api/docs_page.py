"""`/openapi.json` and `/docs`: the contract for programs and for people, without anything from outside.

The page is one small self-written document: it lists the operations of `/openapi.json` and
the words about each code, which a problem's `type` leads to.
"""

import base64
import hashlib

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import JSON_MEDIA_TYPE
from app.api.openapi import document

router = APIRouter(include_in_schema=False)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2530;background:#fff}
code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:#f4f6f8;padding:.75rem;overflow:auto;border-radius:4px}
h2{margin-top:2.5rem;border-bottom:1px solid #d5dce4}summary{cursor:pointer;padding:.25rem 0}
.method{display:inline-block;min-width:4.5rem;font-weight:600}.scope{color:#5b6875;margin-left:.75rem}
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}
:target{background:#fff3c4}@media(prefers-color-scheme:dark){body{color:#dfe6ee;background:#12171d}
pre{background:#1c242d}h2{border-color:#33404d}.scope{color:#93a1b0}:target{background:#4a3f12}}
"""
_SCRIPT = """
const add = (parent, tag, text, name) => {
  const node = parent.appendChild(document.createElement(tag));
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
};
const resolved = (schema, all, depth) => {
  if (!schema || depth > 6) return schema;
  if (schema.$ref) return resolved(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (Array.isArray(schema)) return schema.map((part) => resolved(part, all, depth + 1));
  if (typeof schema !== "object") return schema;
  return Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, resolved(part, all, depth + 1)]));
};
const show = (parent, title, schema, all) => {
  add(parent, "p", title);
  add(parent, "pre", JSON.stringify(resolved(schema, all, 0), null, 2));
};
fetch("/openapi.json").then((answer) => answer.json()).then((api) => {
  const main = document.querySelector("main"), all = api.components.schemas, sections = {};
  for (const [path, operations] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags[0] || "other";
      if (!sections[tag]) { sections[tag] = add(main, "section"); add(sections[tag], "h2", tag); }
      const box = add(sections[tag], "details"), line = add(box, "summary");
      add(line, "span", method.toUpperCase(), "method");
      add(line, "code", path);
      add(line, "span", operation["x-scope"] ? "scope " + operation["x-scope"] : "", "scope");
      add(box, "p", [operation.summary, operation.description].filter(Boolean).join(". "));
      if (operation.parameters.length) show(box, "Parameters", operation.parameters, all);
      if (operation.requestBody) show(box, "Body", operation.requestBody.content["application/json"].schema, all);
      for (const [status, response] of Object.entries(operation.responses))
        if (status < "300" && response.content)
          show(box, status, response.content["application/json"].schema, all);
        else add(box, "p", status + " " + response.description);
    }
  const codes = add(main, "section"), table = (add(codes, "h2", "codes"), add(codes, "table"));
  for (const [code, words] of Object.entries(api["x-codes"])) {
    const row = add(table, "tr");
    row.id = code;
    add(add(row, "td"), "code", code);
    add(row, "td", words.status);
    add(row, "td", words.title);
  }
  if (location.hash) location.hash = location.hash;
}).catch((error) => add(document.querySelector("main"), "p", "The document could not be read: " + error));
"""


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Orderwire API</title>'
    f"<style>{_STYLE}</style></head><body><h1>Orderwire API</h1>"
    '<p>The document for programs is <a href="/openapi.json">/openapi.json</a>.</p>'
    f"<main></main><script>{_SCRIPT}</script></body></html>"
).encode()
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; connect-src 'self'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}


@router.get("/openapi.json")
async def get_openapi(request: Request) -> Response:
    """Return the OpenAPI 3.1 document."""
    state = request.app.state
    if not hasattr(state, "openapi_document"):
        state.openapi_document = msgspec.json.encode(document(request.app))
    return Response(state.openapi_document, media_type=JSON_MEDIA_TYPE)


@router.get("/docs")
async def get_docs() -> Response:
    """Return the documentation page."""
    return Response(_PAGE, headers=_PAGE_HEADERS, media_type="text/html; charset=utf-8")
