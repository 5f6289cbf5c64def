// The OpenAPI document to read: routes by group, with the fields of what they take and give.
import { ask, header, make } from "./shared.js";

let schemas = {};
const nameOf = (schema) => schema?.$ref?.split("/").pop();

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return nameOf(schema);
  for (const many of ["oneOf", "anyOf", "allOf"]) if (schema[many]) return schema[many].map(typeOf).filter(Boolean).join(" | ");
  if (schema.type === "array") return typeOf(schema.items) + "[]";
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  return Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type || "object";
}

// All fields of a schema, those of the parts that it is made of too.
function fieldsOf(schema, seen = new Set()) {
  if (!schema) return [];
  if (schema.$ref) {
    const name = nameOf(schema);
    if (seen.has(name)) return [];
    return fieldsOf(schemas[name], new Set([...seen, name]));
  }
  const own = Object.entries(schema.properties || {}).map(([name, field]) => ({ name, field, required: (schema.required || []).includes(name) }));
  return [...own, ...(schema.allOf || []).flatMap((part) => fieldsOf(part, seen))];
}

function fields(schema) {
  const rows = fieldsOf(schema).map(({ name, field, required }) => make("tr", {}, make("td", { class: "code", text: name + (required ? " *" : "") }), make("td", { class: "code", text: typeOf(field) }), prose("td", {}, field.description || "")));
  return rows.length ? make("table", {}, make("tbody", {}, ...rows)) : make("p", { class: "code", text: typeOf(schema) });
}

// Text in which `code` is marked as in the source.
const prose = (tag, attributes, text) => make(tag, attributes, ...text.split("`").map((part, idx) => (idx % 2 ? make("code", { text: part }) : part)));

const json = (content) => content?.["application/json"]?.schema;

function route(path, method, operation) {
  const details = make("details", {}, make("summary", {}, make("span", { class: "method code", text: method.toUpperCase() }), make("span", { class: "code", text: path }), prose("span", { class: "dim" }, "  " + (operation.summary || operation.description || ""))));
  if (json(operation.requestBody?.content)) details.append(make("h2", { text: "→ " + typeOf(json(operation.requestBody.content)) }), fields(json(operation.requestBody.content)));
  for (const [status, response] of Object.entries(operation.responses || {})) {
    const schema = json(response.content);
    details.append(make("h2", { text: `← ${status} ${schema ? typeOf(schema) : ""}` }), prose("p", { class: "dim" }, response.description || ""));
    if (schema && status.startsWith("2")) details.append(fields(schema));
  }
  return details;
}

header("docs");
const openapi = await ask("/openapi.json");
schemas = openapi.components?.schemas || {};
const groups = new Map();
for (const [path, methods] of Object.entries(openapi.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const group = operation.tags?.[0] || "";
    if (!groups.has(group)) groups.set(group, make("section", { class: "panel" }, make("h2", { text: group })));
    groups.get(group).append(route(path, method, operation));
  }
}
document.getElementById("groups").replaceChildren(...groups.values());
