// The API as its own description says: every operation by its group, and what reads can be tried.

import { request } from "./gateway.js";

const root = document.getElementById("operations");
const { body } = await request("openapi.json");
const groups = new Map();
for (const [path, item] of Object.entries(body.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    const tag = operation.tags?.[0] ?? "";
    groups.set(tag, [...(groups.get(tag) ?? []), { path, method, operation }]);
  }
}
for (const [tag, operations] of groups) {
  root.append(element("h2", tag), ...operations.map(section));
}

function section({ path, method, operation }) {
  const el = element("details", "");
  const head = element("summary", "");
  head.append(element("b", method.toUpperCase()), " ", element("code", path), ` ${operation.summary}`);
  const form = element("form", "");
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const label = element("label", `${parameter.name} `);
    const input = document.createElement("input");
    Object.assign(input, { name: parameter.name, required: parameter.required === true, placeholder: parameter.description ?? "" });
    label.append(input);
    form.append(label);
    return { ...parameter, input };
  });
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    form.append(schemaOf(`Body, ${type}`, schema));
  }
  for (const [status, { content }] of Object.entries(operation.responses)) {
    for (const [type, { schema }] of Object.entries(content ?? {})) form.append(schemaOf(`${status}, ${type}`, schema));
  }
  const types = Object.keys(Object.values(operation.responses)[0].content ?? {});
  if (method === "get" && (types.length > 1 || !types.includes("text/event-stream"))) {
    const output = element("pre", "");
    form.append(element("button", "Try"), output);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      output.textContent = await ask(path, inputs);
    });
  }
  el.append(head, form);
  return el;
}

/** A schema under its name, with an example before it if it has one. */
function schemaOf(title, schema) {
  const el = element("details", "");
  const name = schema.$ref?.split("/").pop();
  el.append(element("summary", name ? `${title}: ${name}` : title));
  const found = name ? body.components.schemas[name] : schema;
  const { examples, ...rest } = found;
  if (examples) el.append(element("pre", `Such as ${JSON.stringify(examples[0])}`));
  el.append(element("pre", JSON.stringify(rest, null, 1)));
  return el;
}

async function ask(path, inputs) {
  const query = new URLSearchParams();
  let target = path.slice(1);
  for (const { name, in: place, input } of inputs) {
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(name, input.value);
  }
  try {
    const { body: answer } = await request(query.size ? `${target}?${query}` : target);
    return answer === null ? "The answer is no JSON." : JSON.stringify(answer, null, 1);
  } catch (error) {
    return error.message;
  }
}

function element(name, textContent) {
  return Object.assign(document.createElement(name), { textContent });
}
