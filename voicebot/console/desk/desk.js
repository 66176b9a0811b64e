// Of all pages of the desk: shortcuts, the dialog that asks to sign in again, dialogs as such.
const voicebotDesk = {
  async signIn(form) {
    const answer = await fetch("/desk/sign-in", {
      method: "POST", redirect: "manual", body: new URLSearchParams(new FormData(form)) });
    if (answer.type === "opaqueredirect") form.reset();
    return answer.type === "opaqueredirect";
  },
  ask(dialog, open) {
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  },
  begun: {}, // by turn: what was typed of a note and neither saved nor cancelled
  note(turn) {
    const dialog = document.getElementById("note"), form = dialog.querySelector("form"), before = dialog.dataset.turn;
    if (before !== String(turn)) {
      if (before) this.begun[before] = [...new FormData(form)];
      form.reset();
      for (const [name, value] of this.begun[turn] || []) form.elements[name].value = value;
      dialog.dataset.turn = turn;
    }
    this.ask(dialog, true);
  },
  noNote() { // it was saved, or is not to be
    const dialog = document.getElementById("note");
    delete this.begun[dialog.dataset.turn];
    dialog.dataset.turn = "";
    dialog.querySelector("form").reset();
    this.ask(dialog, false);
  },
  showKeys() {
    document.getElementById("keys-on").checked = this.keysOn();
    this.ask(document.getElementById("keys"), true);
  },
  keysOn() { return localStorage.getItem("voicebot-keys") !== "off"; },
  setKeys(on) { localStorage.setItem("voicebot-keys", on ? "on" : "off"); },
  down(log) { // to the newest line, unless the reader has gone up to read
    if (!log) return;
    if (!log.dataset.watched) {
      log.dataset.watched = "1";
      let before = log.scrollTop;
      log.addEventListener("scroll", () => {
        const below = log.scrollHeight - log.scrollTop - log.clientHeight;
        if (below < 80) log.dataset.up = ""; else if (log.scrollTop < before) log.dataset.up = "1";
        before = log.scrollTop;
      });
    }
    if (!log.dataset.up) log.scrollTop = log.scrollHeight;
  },
  nextRow(step) {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    (row.querySelector("button, a") || row).focus();
    row.scrollIntoView({ block: "nearest" });
  },
};
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
  const at = e.target;
  if (at.isContentEditable || at.matches?.("textarea, select, input:not([type=checkbox], [type=radio])")) return;
  if (document.querySelector("dialog[open]")) return;
  if (e.key === "?") { e.preventDefault(); voicebotDesk.showKeys(); return; }
  if (!voicebotDesk.keysOn()) return;
  if (e.key === "j" || e.key === "k") { e.preventDefault(); voicebotDesk.nextRow(e.key === "j" ? 1 : -1); return; }
  if (e.key.length !== 1 || /[^a-z0-9]/.test(e.key)) return;
  const all = [...document.querySelectorAll(`[data-key="${e.key}"]`)].filter((one) => one.offsetParent !== null);
  const wanted = e.key === "n" ? all.at(-1) : all[0];
  if (!wanted) return;
  e.preventDefault();
  wanted.focus();
  if (wanted.matches("button, a")) wanted.click();
});
