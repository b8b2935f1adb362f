// Theme: applies the stored choice of light or dark before the first paint. A classic script, because modules run too late.
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "system";
