// Elements from names, attributes and children. Texts become text nodes; nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

const s = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "data") for (const [key, each] of Object.entries(value)) element.dataset[key] = each;
    else if (name === "css") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

const replaceContent = (element, ...children) => element.replaceChildren(...children.flat(Infinity).filter(Boolean));

// Copies a text; answers on the button itself. `navigator.clipboard` is missing in some browsers for pages from disk.
async function copy(text, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = h("textarea", { class: "offscreen" });
    area.value = text;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = done ? "copied" : "select and copy";
  setTimeout(() => (button.textContent = label), 1600);
}

const copyButton = (text, label = "copy") =>
  h("button", { type: "button", class: "small", data: { copy: text }, on: { click: (e) => copy(text, e.currentTarget) } }, label);
