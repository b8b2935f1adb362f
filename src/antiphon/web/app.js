// The page: what is asked, what the server says of it. Whatever comes from outside is set as text, never as markup.
import { t, toggle, translate } from "/web/i18n.js";
import { live } from "/web/live.js";
import { route } from "/web/router.js";

const $ = (id) => document.getElementById(id);
const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const PAUSE = 1500;
let current = null;

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? body.error);
  return body;
}

function make(tag, text, fields = {}) {
  const node = Object.assign(document.createElement(tag), fields);
  if (text !== undefined) node.textContent = text;
  return node;
}

function say(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

function act(job, key, path, method) {
  const button = make("button", t(key), { type: "button" });
  button.addEventListener("click", () => ask(path, { method }).then(refresh, (e) => say(e.message)));
  return button;
}

function row(job, tag) {
  const node = make(tag);
  node.dataset.status = job.status;
  node.append(make("span", t(job.status)));
  if (!FINAL.has(job.status)) {
    const bar = make("progress", undefined, { max: 1, value: job.progress });
    bar.setAttribute("aria-label", t(job.status));
    node.append(bar);
    if (job.position !== null) node.append(make("span", t("place", job.position)));
    if (job.eta !== null) node.append(make("span", t("eta", Math.max(1, job.eta))));
    node.append(act(job, "cancel", `/v1/jobs/${job.id}`, "DELETE"));
  } else if (job.status === "succeeded") {
    const src = `/v1/jobs/${job.id}/result`;
    node.append(make("a", t("download"), { href: src, download: "" }));
    if (tag === "div") node.append(make("audio", undefined, { src, controls: true, autoplay: true }));
  } else {
    if (job.error) node.append(make("span", job.error.message));
    node.append(act(job, "retry", `/v1/jobs/${job.id}/retry`, "POST"));
  }
  return node;
}

/** The row of a job, made anew only when what it says has changed: the focus and a playing sound stay where they are. */
const rows = new WeakMap();
function update(parent, jobs, tag) {
  const old = new Map([...parent.children].map((node) => [node.dataset.id, node]));
  const nodes = jobs.map((job) => {
    const form = JSON.stringify([job, document.documentElement.lang]);
    const kept = old.get(job.id);
    if (kept && rows.get(kept) === form) return kept;
    const node = row(job, tag);
    if (kept && kept.dataset.status === job.status && kept.lang === document.documentElement.lang) {
      renew(kept, node);
      rows.set(kept, form);
      return kept;
    }
    node.dataset.id = job.id;
    node.lang = document.documentElement.lang;
    rows.set(node, form);
    return node;
  });
  for (const node of [...parent.children]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, at) => {
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
}

/** Takes over the figures of a newer row; its buttons stay, and with them the focus. */
function renew(kept, node) {
  const bar = kept.querySelector("progress");
  if (!bar) return;
  bar.value = node.querySelector("progress").value;
  for (const span of kept.querySelectorAll("span")) span.remove();
  const [status, ...rest] = node.querySelectorAll("span");
  kept.prepend(status);
  bar.after(...rest);
}

const show = (job) => update($("now"), [job], "div");

async function refresh() {
  try {
    const health = await ask("/health");
    const open = Boolean(health.model_loaded);
    $("text").disabled = $("send").disabled = !open;
    say(open ? "" : t("loading"));
    if (open && !$("model").options.length) await choices();
    if (current) show(await ask(`/v1/jobs/${current}`));
    if (!$("jobs-page").hidden) {
      const { data } = await ask("/v1/jobs?limit=100");
      update($("list"), data, "li");
    }
  } catch (e) {
    say(e instanceof TypeError ? t("offline") : e.message);
  }
}

async function choices() {
  const [models, voices] = await Promise.all([ask("/v1/models"), ask("/v1/audio/voices")]);
  const first = () => Object.assign(make("option", t("auto"), { value: "" }), {});
  const name = (v) => (typeof v === "string" ? v : (v.id ?? v.name));
  for (const [id, list] of [["model", models.data], ["voice", voices.voices ?? voices.data ?? []]]) {
    const auto = first();
    auto.dataset.t = "auto";
    $(id).replaceChildren(auto, ...list.map((v) => make("option", name(v), { value: name(v) })));
  }
}

async function send(event) {
  event.preventDefault();
  const body = { type: "speech", input: $("text").value, speed: Number($("speed").value), priority: $("priority").value };
  for (const id of ["model", "voice"]) if ($(id).value) body[id] = $(id).value;
  try {
    const job = await ask("/v1/jobs", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    current = job.id;
    sessionStorage.setItem("job", current);
    show(job);
  } catch (e) {
    say(e.message);
  }
}

// An event only says that something happened; what is true is asked for, so a lost message loses nothing. A burst of
// events is one question.
let asked = false;
function soon() {
  if (asked) return;
  asked = true;
  setTimeout(() => { asked = false; refresh(); }, 100);
}

function words() {
  translate();
  $("language").textContent = t("other");
}

current = sessionStorage.getItem("job");
$("form").addEventListener("submit", send);
$("language").addEventListener("click", () => { toggle(); words(); refresh(); });
words();
route(refresh, (e) => say(e.message));
live(soon);
(async () => { for (;;) { await new Promise((go) => setTimeout(go, PAUSE)); if (!document.hidden) await refresh(); } })();
