"""JSON schemas as far as `report.schema.json` uses them."""

_TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip


def errors(value, schema, root=None, where="report"):
    """What is wrong with a value, a line each."""
    root = schema if root is None else root
    if "$ref" in schema:
        return errors(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, where)
    unknown = set(schema) - {
        "$schema", "$defs", "title", "type", "properties", "required", "additionalProperties",
        "items", "enum", "const", "minimum", "maximum",
    }  # fmt: skip
    assert not unknown, f"the validator does not know {unknown}"
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if isinstance(value, bool) or not any(isinstance(value, _TYPES[name]) for name in names):
            return [*found, f"{where}: {value!r} is no {' or '.join(names)}"]
    if isinstance(value, int | float):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        found += [] if low <= value <= high else [f"{where}: {value} is not from {low} to {high}"]
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += errors(item, schema["items"], root, f"{where}[{i}]")
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        missing = set(schema.get("required", [])) - set(value)
        found += [f"{where}: {key} is missing" for key in sorted(missing)]
        for key, item in value.items():
            if key in known:
                found += errors(item, known[key], root, f"{where}.{key}")
            elif more is False:
                found.append(f"{where}: {key} is not known")
            elif isinstance(more, dict):
                found += errors(item, more, root, f"{where}.{key}")
    return found
