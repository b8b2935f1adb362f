// Every string of the page, in both languages, and the numbers as each writes them.
export const STRINGS = {
  en: { speak: "Speak", jobs: "Jobs", voices: "Voices", dashboard: "Dashboard", books: "Books", text: "What is to be said", model: "Model", voice: "Voice", priority: "Priority",
    speed: "Speed", vip: "First", normal: "Normal", bulk: "When there is time", send: "Speak", other: "中文",
    queued: "Waiting", running: "Being made", succeeded: "Done", failed: "Failed", cancelled: "Cancelled",
    cancel: "Cancel", retry: "Try again", download: "Download", place: "Place in line: {n}", eta: "About {n} s left",
    auto: "Automatic", offline: "The server does not answer. Start it again with: antiphon serve",
    loading: "No model can speak yet; one is being made ready." },
  zh: { speak: "朗读", jobs: "任务", voices: "声音库", dashboard: "仪表盘", books: "书籍", text: "要朗读的文字", model: "模型", voice: "声音", priority: "优先级",
    speed: "语速", vip: "优先", normal: "普通", bulk: "空闲时", send: "朗读", other: "English",
    queued: "排队中", running: "生成中", succeeded: "完成", failed: "失败", cancelled: "已取消",
    cancel: "取消", retry: "重试", download: "下载", place: "排在第 {n} 位", eta: "大约还需 {n} 秒",
    auto: "自动", offline: "服务器没有响应。请重新启动：antiphon serve",
    loading: "还没有可用的模型，正在准备。" },
};
let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
export const t = (key, n) => STRINGS[language][key].replace("{n}", n === undefined ? "" : number(n));
export const number = (n) => new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", { maximumFractionDigits: 0 }).format(n);
export function toggle() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
}
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
}
