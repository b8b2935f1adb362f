// Light or dark as the person chose it, set before anything is drawn; a script of its own kind, for modules come later.
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "system";
