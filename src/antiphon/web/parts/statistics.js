// Statistics of the last day: requests per minute, waits, cache share, and the number of workers that the load needs.
import { bars, roundUp } from "/web/parts/chart.js";
import { ask, chinese, clock, h, percent, Refusal, span, t, word } from "/web/parts/ui.js";

const COLUMNS = ["p50", "p90", "p95", "p99", "max"];
const ROWS = ["wait", "synthesis"];

export class Statistics {
  constructor() {
    this.totals = h("dl", { class: "figures" });
    this.chart = bars();
    this.rows = ROWS.map((key) => h("tr", {}, h("th", { scope: "row", t: `row_${key}` }), ...COLUMNS.map(() => h("td"))));
    this.advice = h("div", { class: "advice" });
    this.node = h("section", { label: "figures" },
      h("h3", { t: "figures" }), this.totals, h("h3", { t: "perMinute" }), this.chart.node,
      h("h3", { t: "times" }),
      h("table", {}, h("caption", { t: "timesCaption" }),
        h("thead", {}, h("tr", {}, h("td"), ...COLUMNS.map((key) => h("th", { scope: "col", t: `column_${key}` })))),
        h("tbody", {}, ...this.rows)),
      h("h3", { t: "advice" }), this.advice);
    this.node.hidden = true;
  }

  async load() {
    try {
      this.show(await ask("/v1/stats"));
    } catch (error) {
      if (!(error instanceof Refusal) || ![403, 404].includes(error.status)) throw error;
      this.node.hidden = true;
    }
  }

  show(stats) {
    this.seen = stats;
    this.node.hidden = false;
    const { requests } = stats;
    const none = "–";
    const figures = [
      ["requestsDay", String(requests.day)],
      ["cacheShare", stats.cached_share === null ? none : percent(stats.cached_share)],
      ["utilisation", stats.utilisation === null ? none : percent(stats.utilisation)],
      ["peakHour", requests.peak_hour ? t("peakAt", { at: clock(requests.peak_hour.at * 1000), n: requests.peak_hour.requests }) : none],
      ["failedDay", String(requests.failed)],
    ];
    this.totals.replaceChildren(...figures.map(([key, text]) => h("div", {}, h("dt", { t: key }), h("dd", {}, text))));
    const most = Math.ceil(roundUp(Math.max(2, ...requests.per_minute)));
    this.chart.draw(requests.per_minute, most);
    this.chart.top.textContent = String(most);
    const [left, right] = this.chart.axis.children;
    word(left, "minutesAgo", { n: requests.per_minute.length });
    word(right, "now");
    this.chart.setLabel("perMinuteLabel", { n: Math.max(0, ...requests.per_minute), last: requests.per_minute.at(-1) ?? 0 });
    ROWS.forEach((key, row) => COLUMNS.forEach((column, at) => {
      const seconds = stats[key][column];
      this.rows[row].children[at + 1].textContent = seconds === null ? none : span(seconds);
    }));
    const text = stats.advice[chinese() ? "zh" : "en"];
    this.advice.replaceChildren(...text.split("\n\n").map((each) => h("p", {}, each)));
  }

  translate() {
    if (this.seen) this.show(this.seen);
  }
}
