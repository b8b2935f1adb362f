// Books: splits a text file into chapters to edit, and turns each into a job and an audio file.
import { ask, button, choices, droppable, field, h, Page, quote, Refusal, t, word } from "/web/parts/ui.js";
import { Book } from "/web/parts/book.js";
import { decode, FRONT, split } from "/web/lib/chapters.js";
import { books, dropTexts, store, storeTexts } from "/web/storage/book-storage.js";

/** Largest file that is read as a book, bytes; the same as on the server. */
const MOST = 64 * 1024 * 1024;
const FORMATS = ["mp3", "wav", "flac", "opus", "aac"];

class Books extends Page {
  draw() {
    this.file = h("input", { type: "file", accept: ".txt,.md,text/plain", class: "unseen", id: "book-file",
      on: { change: () => { if (this.file.files.length) this.take(this.file.files[0]); this.file.value = ""; } } });
    const drop = h("div", { class: "drop" }, h("p", { t: "dropBook" }),
      h("div", { class: "acts" }, this.file, h("label", { for: "book-file", class: "button", t: "chooseFile" })));
    droppable(drop, (file) => this.take(file));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.report = h("p", { class: "hint", role: "status" });
    this.heading = h("input", { type: "text", maxlength: 120 });
    this.list = h("ol", { class: "chapters", label: "chapters" });
    this.model = h("select", { on: { change: () => this.offer() } });
    this.voice = h("select");
    this.format = h("select", {}, ...FORMATS.map((each) => h("option", { value: each }, each)));
    this.make = h("button", { type: "submit", class: "main", t: "makeBook" });
    this.form = h("form", { class: "card", novalidate: true, label: "newBook" },
      field("bookTitle", this.heading), h("p", { class: "label", t: "chapters" }), h("p", { class: "hint", t: "chaptersHint" }), this.list,
      h("div", { class: "filters" }, field("model", this.model), field("voice", this.voice), field("format", this.format)),
      h("div", { class: "acts" }, this.make, button("discard", () => this.discard(), { class: "quiet" })));
    this.form.hidden = true;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.start(); });
    this.bookList = h("div", { class: "book-list" });
    this.append(h("h2", { t: "books" }), h("p", { class: "note", t: "booksNote" }), drop, this.report, this.wrong, this.form, this.bookList);
  }

  begin() {
    this.stored = books();
    this.books = [];
    this.bookList.replaceChildren();
    for (const each of this.stored) this.put(each);
    this.offer();
  }

  end() { for (const book of this.books) book.stop(); }

  languageChanged() {
    this.offer();
    for (const book of this.books) book.show();
  }

  put(stored) {
    const book = new Book(stored, () => this.write(), (gone) => this.takeOff(gone));
    this.books.push(book);
    this.bookList.prepend(book.node);
    book.run();
  }

  /** Stores the books without their texts, which are too large for localStorage. */
  write() { store(this.stored.map(({ texts, ...rest }) => rest)); }

  takeOff(book) {
    book.stop();
    book.node.remove();
    dropTexts(book.stored.id);
    this.books = this.books.filter((each) => each !== book);
    this.stored = this.stored.filter((each) => each !== book.stored);
    this.write();
    this.file.focus();
  }

  // From a file to a list of chapters

  async take(file) {
    word(this.wrong, "");
    word(this.report, "reading");
    const text = file.size <= MOST ? decode(await file.arrayBuffer()) : null;
    if (text === null) {
      word(this.report, "");
      word(this.wrong, file.size > MOST ? "bookTooLarge" : "noText", { name: file.name, n: MOST / 1024 / 1024 });
      return;
    }
    this.chapters = split(text).filter((c) => /[\p{L}\p{N}]/u.test(c.text));
    this.form.hidden = !this.chapters.length;
    word(this.report, this.chapters.length ? "chaptersFound" : "noWords", { name: file.name, n: this.chapters.length });
    this.heading.value = file.name.replace(/\.\w+$/, "");
    this.list.replaceChildren(...this.chapters.map((chapter, at) => this.entry(chapter, at)));
  }

  entry(chapter, at) {
    const title = chapter.title === FRONT ? t("frontMatter") : chapter.title;
    const name = { name: title };
    const on = word(h("input", { type: "checkbox", checked: true }), "include", name, "aria-label");
    const text = word(h("input", { type: "text", maxlength: 200 }), "titleOf", name, "aria-label");
    text.value = title;
    const size = word(h("span", { class: "hint" }), () => t("characters", { n: chapter.text.length }));
    const row = h("li", {}, on, text, size);
    Object.assign(row, { chapter, on, text });
    if (at) {
      row.append(word(button("join", () => {
        const before = row.previousElementSibling;
        before.chapter.text += row.chapter.text;
        before.querySelector(".hint").textContent = t("characters", { n: before.chapter.text.length });
        row.remove();
        before.text.focus();
      }, { class: "quiet" }), "joinOf", name, "aria-label"));
    }
    return row;
  }

  discard() {
    this.form.hidden = true;
    word(this.report, "");
    this.file.focus();
  }

  // Model, voice and format

  async offer() {
    try {
      if (!this.offered) {
        const [models, { voices }] = await Promise.all([ask("/v1/models"), ask("/v1/audio/voices")]);
        this.offered = { models: models.data, voices };
      }
      const { models, voices } = this.offered;
      choices(this.model, [["", null, "automatic"], ...models.map((m) => [m.id, m.id])]);
      const fitting = voices.filter((v) => !this.model.value || v.model === this.model.value);
      const text = (v) => (this.model.value ? v.name : `${v.name} · ${v.model}`);
      choices(this.voice, [["", t("automatic")], ...fitting.map((v) => [JSON.stringify([v.id, v.model]), text(v)])]);
    } catch (error) {
      if (error instanceof Refusal) quote(this.wrong, error.message);
      else word(this.wrong, "noAnswer");
    }
  }

  options() {
    const options = { response_format: this.format.value };
    const [voice, of] = this.voice.value ? JSON.parse(this.voice.value) : [];
    const model = this.model.value || of;
    return { ...options, ...(model && { model }), ...(voice && { voice }) };
  }

  async start() {
    const rows = [...this.list.children].filter((row) => row.on.checked);
    if (!rows.length) return word(this.wrong, "needChapter");
    word(this.wrong, "");
    const stored = {
      id: `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`,
      title: this.heading.value.trim() || t("book"),
      options: this.options(),
      chapters: rows.map((row) => ({ title: row.text.value.trim() || row.chapter.title })),
    };
    const list = rows.map((row) => row.chapter.text);
    await storeTexts(stored.id, list);
    stored.texts = list; // For browsers without IndexedDB.
    this.stored.push(stored);
    this.write();
    this.discard();
    this.put(stored);
  }
}

customElements.define("ap-books", Books);
