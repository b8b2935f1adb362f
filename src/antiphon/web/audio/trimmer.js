// Trimmer: a waveform with two range inputs on it, which cut a recording at both ends by pointer or keys.
import { button, h, number, svg, t, word } from "/web/parts/ui.js";
import { peaks, RATE, write } from "/web/audio/wav.js";

const [WIDTH, HEIGHT, COLUMNS] = [600, 100, 240];
/** Least seconds between the two ends. */
const LEAST = 0.1;

export class Trimmer {
  /** `player` is the page's clip player; calls `moved()` after every change. */
  constructor(player, moved) {
    this.moved = moved;
    this.shape = svg("path", { class: "shape" });
    this.before = svg("rect", { class: "cut", y: 0, height: HEIGHT, x: 0 });
    this.after = svg("rect", { class: "cut", y: 0, height: HEIGHT });
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.shape, this.before, this.after);
    const range = (label, edge) => h("input", { type: "range", min: 0, step: 0.01, label, class: edge, on: { input: () => this.#move(edge) } });
    this.left = range("cutStart", "left");
    this.right = range("cutEnd", "right");
    this.summary = h("output", { class: "hint" });
    this.listen = button("listen", () => player.toggle("cut", () => URL.createObjectURL(this.blob()), this.listen));
    this.node = h("div", { class: "trimmer", role: "group", label: "cut" },
      h("div", { class: "wave" }, picture, this.left, this.right), h("div", { class: "acts" }, this.listen, this.summary));
    this.node.hidden = true;
  }

  /** Shows samples; hides the trimmer for null. */
  show(samples) {
    this.samples = samples;
    this.node.hidden = !samples;
    if (!samples) return;
    this.length = samples.length / RATE;
    for (const end of [this.left, this.right]) end.max = this.length;
    [this.left.value, this.right.value] = [0, this.length];
    const tops = peaks(samples, COLUMNS);
    const loudest = Math.max(0.05, ...tops);
    const step = WIDTH / COLUMNS;
    const tall = (peak) => Math.max(0.5, (peak / loudest) * (HEIGHT / 2 - 4));
    const bar = (peak, n) =>
      `M${(n + 0.2) * step} ${HEIGHT / 2 - tall(peak)}h${step * 0.6}v${2 * tall(peak)}h${-step * 0.6}z`;
    this.shape.setAttribute("d", tops.map(bar).join(""));
    this.#move("left");
  }

  get start() { return Number(this.left.value); }
  get end() { return Number(this.right.value); }
  get seconds() { return this.end - this.start; }
  blob() { return write(this.samples, this.start, this.end); }

  #move(edge) {
    const least = Math.min(LEAST, this.length);
    if (edge === "left") this.left.value = Math.max(0, Math.min(this.start, this.end - least));
    else this.right.value = Math.min(this.length, Math.max(this.end, this.start + least));
    // Where the two handles overlap, the one with room to move must be on top.
    this.left.classList.toggle("above", this.start > this.length / 2);
    const x = (seconds) => (seconds / this.length) * WIDTH;
    this.before.setAttribute("width", x(this.start));
    this.after.setAttribute("x", x(this.end));
    this.after.setAttribute("width", Math.max(0, WIDTH - x(this.end)));
    for (const end of [this.left, this.right]) word(end, () => t("seconds", { n: number(Number(end.value), 2) }), undefined, "aria-valuetext");
    word(this.summary, () => t("cutLength", { n: number(this.seconds, 1), all: number(this.length, 1) }));
    this.moved?.();
  }
}
