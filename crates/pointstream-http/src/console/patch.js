// RFC 6902 over parsed JSON, with the three operations that the hub sends: add, remove, replace.
//
// A document is changed in place. A patch that does not apply throws half way through, and the
// document is then worthless: the caller asks for a fresh one.

export class PatchError extends Error {}

/** The decoded tokens of an RFC 6901 pointer. */
export function tokens(pointer) {
  if (pointer === "") return [];
  if (typeof pointer !== "string" || pointer[0] !== "/" || /~(?![01])/.test(pointer)) {
    throw new PatchError(`not a JSON pointer: ${pointer}`);
  }
  // ~1 before ~0, so that ~01 becomes ~1 and not a slash (RFC 6901, section 4).
  return pointer.slice(1).split("/").map((t) => t.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * Applies `patch` to `document`. Answers the document, which is another value only where the root
 * was replaced, and by how many bytes its JSON text has grown.
 */
export function apply(document, patch) {
  if (!Array.isArray(patch)) throw new PatchError("a patch is an array");
  let grown = 0;
  for (const operation of patch) {
    const path = tokens(operation.path);
    const { op, value } = operation;
    if (op !== "add" && op !== "remove" && op !== "replace") throw new PatchError(`operation ${op}`);
    if (op !== "remove" && !Object.hasOwn(operation, "value")) throw new PatchError("no value");
    if (path.length === 0) {
      if (op === "remove") throw new PatchError("the root cannot be removed");
      grown += jsonSize(value) - jsonSize(document);
      document = value;
      continue;
    }
    const key = path.pop();
    const parent = path.reduce(child, document);
    grown += Array.isArray(parent) ? editArray(parent, key, op, value) : editObject(parent, key, op, value);
  }
  return { document, grown };
}

/** The length of a value's JSON text as the hub writes it: compact, non-ASCII as \uXXXX. */
export function jsonSize(value) {
  const text = JSON.stringify(value);
  let size = text.length;
  for (const run of text.match(/[^\x00-\x7f]+/g) ?? []) size += 5 * run.length;
  return size;
}

function child(parent, key) {
  if (Array.isArray(parent)) return parent[index(parent, key, parent.length - 1)];
  return parent[member(parent, key)];
}

function editArray(array, key, op, value) {
  if (op === "add") {
    const at = key === "-" ? array.length : index(array, key, array.length);
    array.splice(at, 0, value);
    return jsonSize(value) + 1;
  }
  const at = index(array, key, array.length - 1);
  const before = jsonSize(array[at]);
  if (op === "remove") {
    array.splice(at, 1);
    return -before - 1;
  }
  array[at] = value;
  return jsonSize(value) - before;
}

function editObject(object, key, op, value) {
  if (object === null || typeof object !== "object") throw new PatchError(`nothing holds ${key}`);
  const known = Object.hasOwn(object, key);
  if (!known && op !== "add") throw new PatchError(`no member ${key}`);
  const before = known ? jsonSize(object[key]) : 0;
  const frame = jsonSize(key) + 2;
  if (op === "remove") {
    delete object[key];
    return -before - frame;
  }
  // Defined and not assigned: an assignment to __proto__ would change what the object inherits.
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  return jsonSize(value) - before + (known ? 0 : frame);
}

function member(object, key) {
  if (object === null || typeof object !== "object" || !Object.hasOwn(object, key)) {
    throw new PatchError(`no member ${key}`);
  }
  return key;
}

function index(array, key, last) {
  const at = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : -1;
  if (at < 0 || at > last) throw new PatchError(`no element ${key} of ${array.length}`);
  return at;
}
