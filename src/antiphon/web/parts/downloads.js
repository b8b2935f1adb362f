// Downloads: the result of a finished job, the same speech in other formats, and subtitles.
import { call, download } from "/web/net/api.js";
import { button, h, quote, save } from "/web/parts/ui.js";

const FORMATS = ["wav", "mp3", "opus", "aac", "flac", "pcm"];
const SUBTITLES = ["srt", "vtt", "json"];

/** A menu of formats and subtitles. `body`: the request, or null. Other formats repeat the request, which the server
 * serves from its cached segments; without it only the original format is offered. */
export function downloads(job, body) {
  const own = job.result.path?.split(".").pop() ?? "wav";
  const name = `speech-${job.id}`;
  const wrong = h("p", { class: "wrong", role: "alert" });
  const item = (label, fetch) => h("button", { type: "button", on: { click: async ({ currentTarget }) => {
    currentTarget.disabled = true;
    quote(wrong, "");
    await fetch().catch((error) => quote(wrong, error.message));
    currentTarget.disabled = false;
  } } }, label.toUpperCase());
  const other = async (format) => save(await spoken(body, format), `${name}.${format}`);
  const audio = FORMATS.filter((format) => body || format === own)
    .map((format) => item(format, () => (format === own ? download(`/v1/jobs/${job.id}/result`, `${name}.${own}`) : other(format))));
  const subtitles = SUBTITLES.map((kind) => item(kind, () => download(`/v1/jobs/${job.id}/subtitles.${kind}`, `${name}.${kind}`)));
  return h("details", { class: "downloads" }, h("summary", { t: "download" }), h("div", { class: "menu" },
    h("p", { class: "label", t: "sound" }), h("div", { class: "acts" }, ...audio),
    h("p", { class: "label", t: "subtitles" }), h("div", { class: "acts" }, ...subtitles), wrong));
}

async function spoken(body, format) {
  const { type, ...asked } = body;
  const answer = await call("/v1/audio/speech", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...asked, response_format: format }),
  });
  return answer.blob();
}

/** A button that downloads the result in its original format; calls `failed(error)`. */
export function resultButton(job, failed) {
  const extension = job.result.path?.split(".").pop() ?? "bin";
  return button("download", () => download(`/v1/jobs/${job.id}/result`, `${job.type}-${job.id}.${extension}`).catch(failed));
}

/** One button per subtitle format; calls `failed(error)`. */
export function subtitleButtons(job, failed) {
  return SUBTITLES.map((kind) => h("button", { type: "button",
    on: { click: () => download(`/v1/jobs/${job.id}/subtitles.${kind}`, `${job.type}-${job.id}.${kind}`).catch(failed) } }, kind.toUpperCase()));
}
