// The agent's end of a talk: microphone, loudspeaker, meters. What it means stands at the desk (panels/audio.py).
window.voicebotTalk = window.voicebotTalk || {
  async start(servers) {
    this.stop();
    if (!navigator.mediaDevices) return { wrong: "insecure" };
    try {
      this.mic = await navigator.mediaDevices.getUserMedia({ audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } });
    } catch (error) { return { wrong: error.name || "Error" }; }
    const pc = this.pc = new RTCPeerConnection({ iceServers: servers });
    this.mic.getTracks().forEach((track) => {
      pc.addTrack(track, this.mic);
      track.onended = () => this.tell("microphone_gone");
    });
    this.sound = new Audio();
    this.sound.autoplay = true;
    pc.ontrack = (event) => {
      this.sound.srcObject = new MediaStream([event.track]);
      this.sound.play().catch(() => this.tell("muted_by_browser"));
      this.meter(this.sound.srcObject, "talk-caller");
    };
    pc.onconnectionstatechange = () => { if (this.pc === pc) this.tell(pc.connectionState); };
    this.meter(this.mic, "talk-mic");
    await pc.setLocalDescription(await pc.createOffer());
    await this.gathered(pc);
    return { sdp: pc.localDescription.sdp, type: pc.localDescription.type };
  },
  gathered(pc) {
    return new Promise((done) => {
      if (pc.iceGatheringState === "complete") return done();
      const timer = setTimeout(done, 2000);
      pc.onicegatheringstatechange = () => {
        if (pc.iceGatheringState === "complete") { clearTimeout(timer); done(); }
      };
    });
  },
  async answer(sdp) { await this.pc.setRemoteDescription({ type: "answer", sdp }); },
  mute(on) { if (this.mic) this.mic.getAudioTracks().forEach((track) => { track.enabled = !on; }); },
  meter(stream, name) {
    this.context = this.context || new AudioContext();
    this.context.resume();
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 1024;
    this.context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    (this.meters = this.meters || {})[name] = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
      const shown = document.getElementById(name);
      if (shown) shown.value = Math.max(0, Math.min(1, (10 * Math.log10(power + 1e-9) + 60) / 50));
    };
    this.ticking = this.ticking || setInterval(() => Object.values(this.meters || {}).forEach((show) => show()), 100);
  },
  tell(state) { emitEvent("voicebot-talk", state); },
  stop() {
    const { pc, mic, context, sound } = this;
    this.pc = this.mic = this.context = this.sound = this.meters = null;
    clearInterval(this.ticking);
    this.ticking = null;
    if (mic) mic.getTracks().forEach((track) => { track.onended = null; track.stop(); });
    if (pc) pc.close();
    if (context) context.close();
    if (sound) { sound.pause(); sound.srcObject = null; }
    for (const name of ["talk-mic", "talk-caller"]) {
      const shown = document.getElementById(name);
      if (shown) shown.value = 0;
    }
  },
};
window.onpagehide = () => voicebotTalk.stop();
