// Audio player: play and pause, waveform, position and seeking for one sound.
import { button, h, number, svg, t, word } from "/web/parts/ui.js";

const [WIDTH, HEIGHT, COLUMNS] = [600, 100, 200];

const time = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export class AudioPlayer {
  /** Calls `moved(seconds)` with the position at every redraw. */
  constructor(transport, moved) {
    Object.assign(this, { transport, sound: transport.sound, moved });
    this.shape = svg("path", { class: "shape" });
    this.cover = svg("rect", { class: "cut", y: 0, height: HEIGHT, width: WIDTH, x: 0 });
    this.range = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, label: "whereInSound",
      on: { input: () => { transport.seek(Number(this.range.value)); this.draw(); } } });
    this.play = button("play", () => (transport.playing ? transport.pause() : transport.play()), { class: "play" });
    this.clock = h("span", { class: "clock" });
    this.node = h("div", { class: "audio-player", role: "group", label: "player" }, this.play,
      h("div", { class: "wave" },
        svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.shape, this.cover), this.range),
      this.clock);
    this.sound.addEventListener("grown", () => this.#soon());
    transport.addEventListener("change", () => { word(this.play, transport.playing ? "pauseSound" : "play"); this.#soon(); });
    this.draw();
  }

  /** Redraws with the next frame, and with every frame while the sound plays. */
  #soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw();
      if (this.transport.playing) this.#soon();
    });
  }

  draw() {
    const { seconds } = this.sound;
    const at = Math.min(this.transport.time, seconds);
    if (this.drawn !== this.sound.length) this.#wave();
    this.range.max = Math.max(seconds, 0.01);
    this.range.value = at;
    const position = t("soundAt", { at: number(at, 0), all: number(seconds, 0) });
    if (this.range.getAttribute("aria-valuetext") !== position) this.range.setAttribute("aria-valuetext", position);
    const x = seconds ? (at / seconds) * WIDTH : 0;
    this.cover.setAttribute("x", x);
    this.cover.setAttribute("width", WIDTH - x);
    this.clock.textContent = `${time(at)} / ${time(seconds)}`;
    this.node.dataset.at = at.toFixed(2);
    this.play.disabled = !seconds && !this.transport.playing;
    this.moved(at);
  }

  #wave() {
    this.drawn = this.sound.length;
    const { peaks } = this.sound;
    const per = peaks.length / COLUMNS;
    const step = WIDTH / COLUMNS;
    let loudest = 0.05;
    const tops = Array.from({ length: peaks.length ? COLUMNS : 0 }, (_, n) => {
      let top = 0;
      for (let at = Math.floor(n * per); at < Math.max((n + 1) * per, Math.floor(n * per) + 1); at++) top = Math.max(top, peaks[at] ?? 0);
      loudest = Math.max(loudest, top);
      return top;
    });
    const bar = (top, n) => {
      const tall = Math.max(0.5, (top / loudest) * (HEIGHT / 2 - 4));
      return `M${((n + 0.2) * step).toFixed(1)} ${(HEIGHT / 2 - tall).toFixed(1)}h${(step * 0.6).toFixed(1)}v${(2 * tall).toFixed(1)}h${(-step * 0.6).toFixed(1)}z`;
    };
    this.shape.setAttribute("d", tops.map(bar).join(""));
  }
}
