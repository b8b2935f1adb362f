// Voices: lists, searches and plays the voices of the models; adds and deletes uploaded ones.
import { ask, bytes, button, choices, chinese, confirmed, field, h, languageName, number, Page, quote, Refusal, send, t, word } from "/web/parts/ui.js";
import { ClipPlayer, fetched } from "/web/audio/clip-player.js";
import { UploadForm } from "/web/parts/upload-form.js";

const PATH = "/v1/audio/voices";
/** Milliseconds between two polls: models load and unload. */
const PAUSE = 10_000;
/** Voices per step of the list. */
const SHOWN = 60;

class Voices extends Page {
  draw() {
    this.voices = [];
    this.mine = [];
    this.most = SHOWN;
    this.player = new ClipPlayer((error) => this.showError(error));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.search = h("input", { type: "search", autocomplete: "off", on: { input: () => this.filter() } });
    this.filters = {};
    for (const key of ["model", "language", "gender"]) this.filters[key] = h("select", { on: { change: () => this.filter() } });
    this.count = h("p", { class: "hint", role: "status" });
    this.list = h("ul", { class: "voices", label: "voices" });
    this.more = button("more", () => { this.most += SHOWN; this.filter(false); });
    this.own = h("ul", { class: "voices own", label: "myVoices" });
    this.cloning = h("p", { class: "note" });
    this.form = new UploadForm(this.player, () => this.load());
    this.append(
      h("h2", { t: "voices" }),
      this.wrong,
      h("section", { label: "myVoices" }, h("h3", { t: "myVoices" }), this.cloning, this.own, this.form.node),
      h("section", { label: "allVoices" },
        h("h3", { t: "allVoices" }),
        h("div", { class: "filters" },
          field("search", this.search), field("model", this.filters.model),
          field("language", this.filters.language), field("gender", this.filters.gender)),
        this.count, this.list, this.more),
    );
    word(this.cloning, () => this.state());
  }

  begin() { this.every(PAUSE, () => this.load()); }

  end() {
    this.player.stop();
    this.form.recorder.drop();
  }

  languageChanged() { this.filter(); }

  async load() {
    try {
      const [{ voices, uploaded_voices: mine }, { data: models }] = await Promise.all([ask(PATH), ask("/v1/models")]);
      const own = new Set(mine.map((each) => each.id));
      this.voices = voices.filter((each) => !own.has(each.id));
      this.mine = mine;
      this.models = models;
      // A server whose models do not report `cloning` still lists uploaded voices among the usable ones if it can clone.
      this.able = models.some((m) => m.cloning) || voices.some((each) => own.has(each.id)) ? true
        : mine.length || models.every((m) => m.cloning === false) ? false : null;
      word(this.wrong, "");
      this.filter(false);
    } catch (error) {
      this.showError(error);
    }
  }

  showError(error) {
    if (error instanceof Refusal) quote(this.wrong, error.message);
    else word(this.wrong, error instanceof TypeError ? "noAnswer" : "noSound");
  }

  state() {
    if (this.able === false) return t(this.mine.length ? "cannotCloneMine" : "cannotClone");
    return t(this.able === null || this.able === undefined ? "cloneLater" : "canClone");
  }

  filter(fresh = true) {
    if (fresh) this.most = SHOWN;
    const all = (key) => ["", null, key];
    const distinct = (values) => [...new Set(values)].filter(Boolean).sort();
    choices(this.filters.model, [all("allModels"), ...distinct(this.voices.map((v) => v.model)).map((m) => [m, m])]);
    const tongues = distinct(this.voices.flatMap((v) => v.languages)).map((tag) => [tag, languageName(tag)]);
    choices(this.filters.language, [all("allLanguages"), ...tongues.sort((a, b) => a[1].localeCompare(b[1], chinese() ? "zh" : "en"))]);
    choices(this.filters.gender, [all("anyGender"), ...distinct(this.voices.map((v) => v.gender)).map((g) => [g, t(g)])]);
    const wanted = this.search.value.trim().toLowerCase();
    const { model, language, gender } = this.filters;
    const found = this.voices.filter((v) =>
      (!model.value || v.model === model.value) &&
      (!language.value || v.languages.includes(language.value)) &&
      (!gender.value || v.gender === gender.value) &&
      (!wanted || [v.id, v.name, ...v.languages, ...v.languages.map(languageName)].some((text) => text.toLowerCase().includes(wanted))));
    word(this.count, found.length ? "found" : "foundNone", { n: found.length });
    this.fill(this.list, found.slice(0, this.most));
    this.more.hidden = found.length <= this.most;
    this.fill(this.own, this.mine);
    this.own.hidden = !this.mine.length;
    word(this.cloning, () => this.state());
  }

  /** Reuses existing rows: one of them may be playing or have the focus. */
  fill(list, voices) {
    const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
    const wanted = voices.map((v) => rows.get(`${v.model}/${v.id}`) ?? this.row(v));
    if (wanted.length !== list.children.length || wanted.some((row, at) => row !== list.children[at])) list.replaceChildren(...wanted);
  }

  row(v) {
    const mine = v.seconds !== undefined;
    const name = h("span", { class: "name" }, v.name);
    const about = word(h("span", { class: "hint" }), () => mine
      ? `${t("seconds", { n: number(v.seconds, 1) })} · ${bytes(v.file_size)}`
      : [v.model, v.languages.map(languageName).slice(0, 3).join(", "), v.gender ? t(v.gender) : ""].filter(Boolean).join(" · "));
    const key = `${v.model}/${v.id}`;
    const play = button("play", () => this.player.toggle(key, () => fetched(v.sample), play), { "aria-pressed": "false", "data-key": "play" });
    word(play, "playVoice", { name: v.name }, "aria-label");
    const row = h("li", { "data-key": key }, h("span", { class: "who" }, name, about), play);
    if (mine) {
      const remove = button("delete", () => this.remove(v), { class: "danger quiet" });
      word(remove, "deleteVoice", { name: v.name }, "aria-label");
      row.append(remove);
    }
    return row;
  }

  async remove(v) {
    if (!(await confirmed("deleteAsk", { name: v.name }, "delete"))) return;
    this.player.stop();
    try {
      await send(`${PATH}/${encodeURIComponent(v.id)}`, "DELETE");
    } catch (error) {
      this.showError(error);
    }
    await this.load();
    this.form.node.firstChild.focus();
  }
}

customElements.define("ap-voices", Voices);
