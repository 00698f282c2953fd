// Holds a document against its assertions; gets them as an array and returns the first that does not hold, or "".
// Runs in a world of its own. A form or image named like a method hides the method on `document` and on forms even
// here, so everything is asked through the prototypes, which the document cannot reach.
(assertions) => {
  const getter = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;
  const all = Document.prototype.querySelectorAll;
  const textOf = getter(Node.prototype, "textContent");
  const attributeOf = Element.prototype.getAttribute;
  const valueOf = CSSStyleDeclaration.prototype.getPropertyValue;
  const shown = (value) => JSON.stringify(value === null ? null : String(value).slice(0, 200));
  const plain = (text) => text.replace(/\s+/g, " ").trim();
  for (const wanted of assertions) {
    const place = wanted.selector;
    let found;
    try {
      found = all.call(document, place);
    } catch (error) {
      return {test: `${place} is no selector that the browser knows`};
    }
    if ("count" in wanted) {
      if (found.length !== wanted.count) return {wrong: `${place}: ${found.length} elements, not ${wanted.count}`};
      continue;
    }
    if (found.length === 0) return {wrong: `${place}: no such element`};
    const element = found[0];
    if ("text" in wanted) {
      const text = plain(textOf.call(element));
      if (text !== plain(wanted.text)) return {wrong: `${place}: text is ${shown(text)}, not ${shown(wanted.text)}`};
    } else if ("attribute" in wanted) {
      const value = attributeOf.call(element, wanted.attribute);
      if (value !== wanted.value)
        return {wrong: `${place}: ${wanted.attribute} is ${shown(value)}, not ${shown(wanted.value)}`};
    } else {
      const style = getComputedStyle(element);
      for (const [name, value] of Object.entries(wanted.style)) {
        const is = valueOf.call(style, name);
        if (is !== value) return {wrong: `${place}: ${name} is ${shown(is)}, not ${shown(value)}`};
      }
    }
  }
  return {};
}
