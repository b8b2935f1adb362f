// Images: a form for a prompt, number, size and seed, and a gallery of the results.
import { download, media } from "/web/net/api.js";
import { ask, button, choices, field, h, Page, send, t, word } from "/web/parts/ui.js";
import { PendingJob } from "/web/parts/pending-job.js";

const LAST_JOB = "antiphon.draw";
const SIZES = ["", "256x256", "512x512", "768x768", "1024x1024", "1024x1536", "1536x1024"];
const MOST = 1000;

class Images extends Page {
  draw() {
    this.prompt = h("textarea", { id: "prompt", rows: 3, maxlength: MOST, on: { input: () => { this.go.disabled = !this.prompt.value.trim(); } } });
    this.model = h("select", { id: "images-model" });
    this.size = h("select", { id: "images-size" });
    choices(this.size, SIZES.map((size) => (size ? [size, size.replace("x", " × ")] : ["", null, "automatic"])));
    this.count = h("input", { id: "images-count", type: "number", min: 1, max: 10, value: 1, inputmode: "numeric" });
    this.seed = h("input", { id: "images-seed", type: "number", min: 0, max: 4294967295, inputmode: "numeric" });
    this.go = h("button", { type: "submit", class: "main", id: "images-go", t: "drawIt", disabled: true });
    this.none = h("p", { class: "note", hidden: true, t: "noImageModel" });
    this.pending = new PendingJob((job) => this.#done(job), () => { this.go.disabled = !this.prompt.value.trim(); });
    this.form = h("form", { novalidate: true, label: "images", on: { submit: (event) => { event.preventDefault(); this.#send(); } } },
      field("prompt", this.prompt),
      h("div", { class: "choices" }, field("model", this.model), field("size", this.size), field("howMany", this.count), field("seed", this.seed, "seedHint")),
      h("div", { class: "acts" }, this.go));
    this.gallery = h("div", { class: "gallery" });
    this.append(h("h2", { t: "images" }), this.none, this.form, this.pending.node, this.gallery);
  }

  begin() {
    this.every(4000, () => this.#offer());
    const last = sessionStorage.getItem(LAST_JOB);
    if (last && !this.pending.id) this.pending.follow(last);
  }

  async #offer() {
    const models = (await ask("/v1/models")).data.filter((model) => model.kind === "image");
    this.none.hidden = models.length > 0;
    choices(this.model, [["", null, "automatic"], ...models.map((model) => [model.id, model.id])]);
  }

  async #send() {
    const body = { type: "image", prompt: this.prompt.value.trim(), n: Number(this.count.value) || 1 };
    if (this.model.value) body.model = this.model.value;
    if (this.size.value) body.size = this.size.value;
    if (this.seed.value) body.seed = Number(this.seed.value);
    this.go.disabled = true;
    this.pending.clear();
    try {
      const job = await send("/v1/jobs", "POST", body);
      sessionStorage.setItem(LAST_JOB, job.id);
      this.asked = body.prompt;
      this.pending.follow(job.id);
    } catch (error) {
      this.pending.refuse(error);
      this.go.disabled = false;
    }
  }

  async #done(job) {
    const cards = job.result.images.map((image, at) => this.#card(job, image, at));
    this.gallery.replaceChildren(...cards);
  }

  #card(job, image, at) {
    const picture = h("img", { loading: "lazy" });
    word(picture, () => this.asked ?? t("imageOf", { n: at + 1 }), undefined, "alt");
    media(image.path).then((url) => { picture.src = url; }).catch((error) => this.pending.refuse(error));
    const name = image.path.split("/").pop();
    return h("figure", {}, picture, h("figcaption", { class: "acts" },
      button("download", () => download(image.path, name).catch((error) => this.pending.refuse(error)))));
  }
}

customElements.define("ap-images", Images);
