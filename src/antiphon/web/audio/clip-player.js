// Clip player: plays one clip at a time, each started and stopped by its own button.
import { call, word } from "/web/parts/ui.js";

export class ClipPlayer {
  /** Calls `fail(error)` when a clip cannot be played. */
  constructor(fail) {
    this.fail = fail;
    this.audio = new Audio();
    this.audio.addEventListener("ended", () => this.stop());
  }

  /** Stops the clip `id` if it plays, else plays the object URL that `source()` returns or resolves to. */
  async toggle(id, source, button) {
    const same = this.id === id;
    this.stop();
    if (same) return;
    Object.assign(this, { id, button, key: button.dataset.key ?? "listen" });
    button.setAttribute("aria-pressed", "true");
    word(button, "stop");
    try {
      const url = await source();
      if (this.button !== button) return URL.revokeObjectURL(url); // Another clip was started meanwhile.
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

/** An object URL of the response to a path. Throws as `call` does. */
export const fetched = async (path) => URL.createObjectURL(await (await call(path)).blob());
