// The page of the API: draws openapi.json, and lets its operations be tried. What comes from the server is
// only ever set as text, never as markup.

const schemas = {};

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Text in which `words` in backticks are code.
function prose(text) {
  const parts = (text ?? "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
  return make("p", {}, ...parts);
}

function refName(schema) {
  return schema?.$ref?.split("/").pop();
}

function typeOf(schema) {
  if (!schema) return ["any"];
  const name = refName(schema);
  if (name) return [make("a", { href: `#schema-${name}` }, name)];
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.flatMap((option, index) => (index ? [" or ", ...typeOf(option)] : typeOf(option)));
  if ("const" in schema) return [make("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return schema.enum.flatMap((value, index) => [index ? ", " : "", make("code", {}, String(value))]);
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items)];
  if (schema.type === "object" && schema.additionalProperties) return ["map of ", ...typeOf(schema.additionalProperties)];
  const notes = [schema.format, schema.minimum !== undefined ? `${schema.minimum} to ${schema.maximum}` : null,
    schema.maxLength !== undefined ? `at most ${schema.maxLength} characters` : null].filter(Boolean);
  return [`${schema.type ?? "any"}${notes.length ? ` (${notes.join(", ")})` : ""}`];
}

function fieldTable(rows) {
  const head = make("tr", {}, ...["Name", "Type", "What"].map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(({ name, schema, required, text }) => {
    const fallback = schema && "default" in schema ? ` Default: ${JSON.stringify(schema.default)}.` : "";
    return make("tr", {},
      make("td", {}, make("code", {}, name), required ? "" : make("span", { className: "dim" }, " optional")),
      make("td", {}, ...typeOf(schema)),
      make("td", {}, ...prose((text ?? schema?.description ?? "") + fallback).childNodes));
  });
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

function schemaRows(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name, schema: property, required: required.has(name), text: property.description,
  }));
}

function resolved(schema) {
  const name = refName(schema);
  return name ? schemas[name] : schema;
}

// A body to begin with: what is required, and the first value of each enumeration.
function example(schema) {
  const known = resolved(schema);
  if (!known) return null;
  if (known.enum) return known.enum[0];
  const options = known.anyOf ?? known.oneOf;
  if (options) return example(options[0]);
  if (known.type === "object") {
    const required = new Set(known.required ?? []);
    const wanted = Object.entries(known.properties ?? {});
    return Object.fromEntries(wanted.filter(([name]) => required.has(name)).map(([name, of]) => [name, example(of)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, array: [] }[known.type] ?? null;
}

function token() {
  return document.getElementById("token").value.trim();
}

async function send(method, path, body) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const began = performance.now();
  const response = await fetch(path, { method, headers, body, cache: "no-store" });
  const text = await response.text();
  let shown = text;
  if ((response.headers.get("Content-Type") ?? "").includes("json")) shown = JSON.stringify(JSON.parse(text), null, 2);
  return { status: response.status, ok: response.ok, shown, ms: Math.round(performance.now() - began) };
}

function tryForm(path, method, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const id = `try-${operation.operationId}-${parameter.name}`;
    const input = make("input", { id, name: parameter.name, required: parameter.in === "path" });
    return { parameter, input, row: make("p", {}, make("label", { htmlFor: id }, `${parameter.name} `), input) };
  });
  const content = operation.requestBody?.content["application/json"];
  const body = content
    ? make("textarea", { value: JSON.stringify(content.example ?? example(content.schema), null, 2), ariaLabel: "Body, JSON", spellcheck: false })
    : null;
  const status = make("p", { ariaLive: "polite" });
  const result = make("pre", { hidden: true, tabIndex: 0 });
  const button = make("button", { type: "submit" }, `Send ${method.toUpperCase()}`);
  const form = make("form", { autocomplete: "off" }, ...inputs.map((input) => input.row), body, make("p", {}, button), status, result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.set(parameter.name, input.value);
    }
    if (query.size) target += `?${query}`;
    button.disabled = true;
    status.className = "";
    status.textContent = `${method.toUpperCase()} ${target} …`;
    try {
      const answer = await send(method.toUpperCase(), target, body?.value);
      status.className = answer.ok ? "" : "refused";
      status.textContent = `${method.toUpperCase()} ${target}: ${answer.status} in ${answer.ms} ms`;
      result.textContent = answer.shown;
      result.hidden = false;
    } catch (error) {
      status.className = "refused";
      status.textContent = `No answer: ${error.message}`;
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

function codesOf(response) {
  return (response["x-codes"] ?? []).flatMap((code, index) => [index ? ", " : "", make("a", { href: `#problem-${code}` }, make("code", {}, code))]);
}

function drawOperation(path, method, operation) {
  const inside = make("div", { className: "inside" }, prose(operation.description ?? operation.summary));
  if (operation.parameters?.length) {
    inside.append(make("h4", {}, "Parameters"), fieldTable(operation.parameters.map((parameter) => ({
      name: parameter.name, schema: parameter.schema, required: parameter.required,
      text: parameter.description ?? parameter.schema.description,
    }))));
  }
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) inside.append(make("h4", {}, "Body"), fieldTable(schemaRows(resolved(body))));
  const answers = Object.entries(operation.responses).map(([status, response]) => make("tr", {},
    make("td", {}, status),
    make("td", {}, ...(response["x-codes"] ? codesOf(response) : [response.description, " ", ...Object.values(response.content ?? {}).flatMap((media) => (refName(media.schema) ? typeOf(media.schema) : []))]))));
  inside.append(make("h4", {}, "Answers"), make("table", {}, make("tbody", {}, ...answers)));
  if (operation["x-messages"]) inside.append(make("h4", {}, "Messages"), make("p", {}, ...operation["x-messages"].flatMap((message) => [...typeOf(message), " "])));
  else inside.append(make("h4", {}, "Try it"), tryForm(path, method, operation));
  return make("details", { id: operation.operationId },
    make("summary", {}, make("span", { className: "method" }, method.toUpperCase()), make("code", {}, path), make("h3", {}, operation.summary)), inside);
}

function drawSchema(name, schema) {
  const section = make("section", { className: "schema", id: `schema-${name}` }, make("h3", {}, name), prose(schema.description));
  if (schema.properties) section.append(fieldTable(schemaRows(schema)));
  else section.append(make("p", {}, ...typeOf(schema)));
  return section;
}

function drawProblems(paths) {
  const codes = new Map();
  for (const methods of Object.values(paths)) {
    for (const operation of Object.values(methods)) {
      for (const [status, response] of Object.entries(operation.responses)) {
        for (const code of response["x-codes"] ?? []) {
          const found = codes.get(code) ?? { status: new Set(), operations: [] };
          found.status.add(status);
          if (!found.operations.includes(operation.operationId)) found.operations.push(operation.operationId);
          codes.set(code, found);
        }
      }
    }
  }
  return [...codes].sort(([one], [other]) => (one < other ? -1 : 1)).map(([code, { status, operations }]) =>
    make("section", { className: "problem", id: `problem-${code}` }, make("h3", {}, make("code", {}, code), ` ${[...status].join(", ")}`),
      make("p", {}, "Of ", ...operations.flatMap((name, index) => [index ? ", " : "", make("a", { href: `#${name}` }, name)]))));
}

function draw(api) {
  Object.assign(schemas, api.components.schemas);
  document.getElementById("version").textContent = api.info.version;
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  main.replaceChildren(prose(api.info.description), make("p", {}, make("a", { href: "openapi.json" }, "openapi.json"), ` (OpenAPI ${api.openapi})`));
  contents.replaceChildren();
  const listed = (title, names) => contents.append(make("strong", {}, title), make("ul", {}, ...names.map(([href, text]) => make("li", {}, make("a", { href }, text)))));
  for (const { name } of api.tags) {
    const drawn = [];
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] === name) drawn.push(drawOperation(path, method, operation));
      }
    }
    main.append(make("h2", {}, name), ...drawn);
    listed(name, drawn.map((element) => [`#${element.id}`, element.id]));
  }
  const names = Object.keys(schemas).sort();
  main.append(make("h2", {}, "Schemas"), ...names.map((name) => drawSchema(name, schemas[name])));
  main.append(make("h2", {}, "Problems"), ...drawProblems(api.paths));
  listed("More", [["#problems", "problems"], ...names.map((name) => [`#schema-${name}`, name])]);
  main.querySelectorAll("h2").forEach((heading) => { heading.id ||= heading.textContent.toLowerCase(); });
}

function open() {
  const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (!target) return;
  const details = target.closest("details");
  if (details) details.open = true;
  target.scrollIntoView();
}

async function whoAmI() {
  const shown = document.getElementById("who");
  if (!token()) {
    shown.textContent = "";
    return;
  }
  try {
    const answer = await send("GET", "/api/v1/status");
    shown.className = answer.ok ? "" : "refused";
    shown.textContent = answer.ok ? "accepted" : "not accepted";
  } catch (error) {
    shown.className = "refused";
    shown.textContent = `No answer: ${error.message}`;
  }
}

document.getElementById("auth").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("token").addEventListener("change", whoAmI);
window.addEventListener("hashchange", open);

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  draw(await response.json());
  open();
} catch (error) {
  document.getElementById("main").replaceChildren(make("p", { className: "refused" }, `openapi.json could not be read: ${error.message}`));
}
