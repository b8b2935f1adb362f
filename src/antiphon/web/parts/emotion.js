// Emotion: four buttons and, if the model supports them, a slider for each of eight emotions. The sliders hold the value.
import { h, number, word } from "/web/parts/ui.js";

const NAMED = ["neutral", "happy", "sad", "angry"];
const ALL = ["happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm"];

export class Emotion {
  /** Calls `changed()` after every choice. */
  constructor(changed) {
    this.changed = changed;
    this.buttons = NAMED.map((name) => h("button", { type: "button", t: `mood_${name}`, "aria-pressed": String(name === "neutral"),
      "data-mood": name, on: { click: () => this.#choose(name) } }));
    this.sliders = new Map(ALL.map((name) => [name, this.#slider(name)]));
    this.fine = h("details", { class: "fine" }, h("summary", { t: "fineMoods" }), h("div", { class: "moods" }, ...[...this.sliders.values()].map((s) => s.node)));
    this.hint = h("p", { class: "hint" });
    this.node = h("div", { class: "field", role: "group", label: "emotion" },
      h("p", { class: "label", t: "emotion", "aria-hidden": "true" }), h("div", { class: "acts moods-row" }, ...this.buttons), this.hint, this.fine);
    this.offer(null);
  }

  #slider(name) {
    const input = h("input", { type: "range", id: `mood-${name}`, min: 0, max: 1, step: 0.05, value: 0, on: { input: () => { this.#show(); this.changed(); } } });
    const amount = h("output", { class: "hint", for: input.id });
    return { input, amount, node: h("div", { class: "mood" }, h("label", { for: input.id, t: `mood_${name}` }), input, amount) };
  }

  #choose(name) {
    for (const [each, { input }] of this.sliders) input.value = each === name ? 1 : 0;
    this.#show();
    this.changed();
  }

  #show() {
    const weights = this.#weights();
    const names = Object.keys(weights);
    const one = names.length === 0 ? "neutral" : names.length === 1 && weights[names[0]] === 1 ? names[0] : null;
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(each.dataset.mood === one));
    for (const { input, amount } of this.sliders.values()) amount.textContent = number(Number(input.value), 2);
    this.one = one;
  }

  #weights() {
    return Object.fromEntries([...this.sliders].map(([name, { input }]) => [name, Number(input.value)]).filter(([, weight]) => weight > 0));
  }

  /** Sets the emotions that the model supports; null while that is unknown. Others are hidden and reset. */
  offer(able) {
    const names = able ?? [];
    for (const [name, { node, input }] of this.sliders) {
      node.hidden = !names.includes(name);
      if (node.hidden && !NAMED.includes(name)) input.value = 0;
    }
    this.fine.hidden = !names.length;
    word(this.hint, able && !names.length ? "moodless" : "");
    this.#show();
  }

  /** The request field: a name, weights by name, or undefined for neutral. */
  get value() {
    return this.one === "neutral" ? undefined : (this.one ?? this.#weights());
  }
}
