// Writing to a customer: Enter sends; what was sent stays in the field until the server has it, under one key.
window.voicebotChat = {
  tried: null, // the words that are on their way, or were refused, and their key
  key(e) {
    if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    e.target.form.requestSubmit();
  },
  send(e, emit) {
    e.preventDefault();
    const text = e.target.elements.text.value;
    if (this.tried && this.tried.going) return;
    if (!this.tried || this.tried.text !== text) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      this.tried = { text, key: [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("") };
    }
    this.tried.going = true;
    setTimeout((one) => { one.going = false; }, 10000, this.tried); // no answer: may be sent again, same key
    emit({ text, key: this.tried.key });
  },
  refused(key) { if (this.tried && this.tried.key === key) this.tried.going = false; },
  sent(key) {
    if (!this.tried || this.tried.key !== key) return;
    const field = document.querySelector("#write textarea");
    if (field && field.value === this.tried.text) field.value = "";
    else if (field && field.value.startsWith(this.tried.text)) field.value = field.value.slice(this.tried.text.length);
    this.tried = null;
  },
};
