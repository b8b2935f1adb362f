// Clipboard: copies a text, or shows it in a dialog where the browser denies access.
import { button, h } from "/web/parts/ui.js";

/** Whether it was copied. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    show(text);
    return false;
  }
}

function show(text) {
  const area = h("textarea", { rows: 8, readonly: true, label: "copyThis" });
  area.value = text;
  const box = h("dialog", { class: "ask page", label: "copyThis" }, h("p", { t: "copyThis" }), area,
    h("div", { class: "acts" }, button("close", () => box.close())));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  area.select();
}
