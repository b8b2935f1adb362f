// One sound at a time: what is asked for stops what plays.
import { call, word } from "/web/parts/ui.js";

export class ClipPlayer {
  /** `fail` is told why something cannot be heard, in the server's words. */
  constructor(fail) {
    this.fail = fail;
    this.audio = new Audio();
    this.audio.addEventListener("ended", () => this.stop());
  }

  /** Plays what `source()` gives (a URL of an object, or a promise of one), or stops it if it is what plays. */
  async toggle(id, source, button) {
    const same = this.id === id;
    this.stop();
    if (same) return;
    Object.assign(this, { id, button, key: button.dataset.key ?? "listen" });
    button.setAttribute("aria-pressed", "true");
    word(button, "stop");
    try {
      const url = await source();
      if (this.button !== button) return URL.revokeObjectURL(url); // Another was asked for meanwhile.
      this.audio.src = this.url = url;
      await this.audio.play();
    } catch (error) {
      if (this.button !== button || error.name === "AbortError") return;
      this.stop();
      this.fail(error);
    }
  }

  stop() {
    this.audio.pause();
    if (this.url) URL.revokeObjectURL(this.url);
    if (this.button) {
      this.button.setAttribute("aria-pressed", "false");
      word(this.button, this.key);
    }
    this.id = this.url = this.button = undefined;
  }
}

/** An object URL of what the server answers; its refusal is raised with its reason. */
export const fetched = async (path) => URL.createObjectURL(await (await call(path)).blob());
