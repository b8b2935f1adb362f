// Sign-in: the dialog that asks for a key.
import { button, field, h } from "/web/parts/ui.js";

/** Resolves to `{key, stored}`, or to null when the dialog is closed. `wrong`: the server rejected the last key. */
export function ask(wrong) {
  return new Promise((done) => {
    const input = h("input", { type: "password", id: "key-field", autocomplete: "current-password", required: true });
    const stored = h("input", { type: "checkbox", id: "key-stored" });
    const place = field("keyField", input, "keyHint");
    const tick = field("keyStored", stored);
    tick.classList.add("check");
    const box = h("dialog", { class: "ask page sign-in", "aria-labelledby": "sign-in-title" });
    let given = null;
    const form = h("form", { on: { submit: (event) => {
      event.preventDefault();
      given = { key: input.value.trim(), stored: stored.checked };
      box.close();
    } } },
      h("h2", { id: "sign-in-title", t: "signInTitle" }), place, tick,
      h("div", { class: "acts" }, button("signInNo", () => box.close()), h("button", { type: "submit", class: "main", t: "signIn" })));
    box.append(form);
    if (wrong) place.refuse("keyWrong", true);
    box.addEventListener("close", () => { box.remove(); done(given?.key ? given : null); });
    document.body.append(box);
    box.showModal();
    input.focus();
  });
}
