// The page: what is asked, what the server says of it. Whatever comes from outside is set as text, never as markup.
import { t, toggle, translate } from "/web/i18n.js";

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

let shown = "";
function show(job) {
  const form = JSON.stringify([job, document.documentElement.lang]);
  if (form === shown) return; // A finished job keeps its player: replacing it would stop the sound.
  shown = form;
  $("now").replaceChildren(row(job, "div"));
}

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
      $("list").replaceChildren(...data.map((job) => row(job, "li")));
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
    listen(current);
  } catch (e) {
    say(e.message);
  }
}

// The socket only says that something happened; what is true is asked for, so a lost message loses nothing.
function listen(id) {
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws?id=${encodeURIComponent(id)}`);
  socket.addEventListener("message", refresh);
  socket.addEventListener("close", refresh);
}

function turn() {
  const jobs = location.hash === "#jobs";
  $("jobs-page").hidden = !jobs;
  $("speak-page").hidden = jobs;
  for (const a of document.querySelectorAll("nav a")) a.setAttribute("aria-current", (a.hash === "#jobs") === jobs ? "page" : "false");
  refresh();
}

function words() {
  translate();
  $("language").textContent = t("other");
}

current = sessionStorage.getItem("job");
$("form").addEventListener("submit", send);
$("language").addEventListener("click", () => { toggle(); words(); refresh(); });
addEventListener("hashchange", turn);
words();
turn();
(async () => { for (;;) { await new Promise((go) => setTimeout(go, PAUSE)); if (!document.hidden) await refresh(); } })();
