// The prebuilt page with the browser's own microphone.
//
// Its WebRTC transport fetches a media library from c.daily.co when the page opens, and reports to that library's
// maker. This module stands in the transport's place and hands it another media manager, by the option it has for
// that; nothing is fetched from anywhere. The transport itself is the one of the package, unchanged.

const { SmallWebRTCTransport: Prebuilt } = await import(`${import.meta.url}?prebuilt`);

const ME = { id: "local", local: true, name: "" };

/** Says what is wrong with a microphone in the transport's terms. */
function deviceError(error) {
  const type =
    { NotAllowedError: "permissions", NotFoundError: "not-found", NotReadableError: "in-use" }[error.name] ?? "unknown";
  return Object.assign(new Error(`No microphone: ${error.message}`), { devices: ["mic"], type });
}

class Microphone {
  #callbacks = {};
  #enabled = true;
  #options;
  #replaced;
  #speaker = {};
  #track;

  /** `replaced` is told of a track that takes the place of the one before. */
  constructor(replaced) {
    this.#replaced = replaced;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#tellDevices());
  }

  setClientOptions(options, again = false) {
    if (this.#options && !again) return;
    this.#options = options;
    this.#callbacks = options.callbacks ?? {};
    this.#enabled = options.enableMic ?? true;
  }

  setUserAudioCallback() {}

  async initialize() {
    if (this.#track?.readyState === "live") return;
    await this.#open("default");
    await this.#tellDevices();
  }

  connect() {
    return this.initialize();
  }

  async disconnect() {
    const track = this.#track;
    this.#track = undefined;
    track?.stop();
    if (track) this.#callbacks.onTrackStopped?.(track, ME);
  }

  async userStartedSpeaking() {}

  bufferBotAudio() {}

  async getAllMics() {
    return this.#devices("audioinput");
  }

  async getAllCams() {
    return [];
  }

  async getAllSpeakers() {
    return this.#devices("audiooutput");
  }

  async updateMic(deviceId) {
    const before = this.#track;
    await this.#open(deviceId);
    before?.stop();
    await this.#replaced(this.#track);
  }

  updateCam() {}

  updateSpeaker(deviceId) {
    this.#speaker = { deviceId };
    this.#callbacks.onSpeakerUpdated?.(this.#speaker);
  }

  get selectedMic() {
    return this.#track ? this.#device() : {};
  }

  get selectedCam() {
    return {};
  }

  get selectedSpeaker() {
    return this.#speaker;
  }

  enableMic(on) {
    this.#enabled = on;
    if (!this.#track) return;
    this.#track.enabled = on;
    if (on) this.#callbacks.onTrackStarted?.(this.#track, ME);
    else this.#callbacks.onTrackStopped?.(this.#track, ME);
  }

  enableCam() {}

  enableScreenShare() {}

  get isMicEnabled() {
    return this.#enabled;
  }

  get isCamEnabled() {
    return false;
  }

  get isSharingScreen() {
    return false;
  }

  get supportsScreenShare() {
    return false;
  }

  tracks() {
    return { local: { audio: this.#track } };
  }

  async #open(deviceId) {
    if (!navigator.mediaDevices) {
      throw deviceError(new Error("browsers give one to pages of https:// and of localhost only"));
    }
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    if (deviceId !== "default") audio.deviceId = { exact: deviceId };
    try {
      [this.#track] = (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks();
    } catch (error) {
      const told = deviceError(error);
      this.#callbacks.onDeviceError?.(told);
      throw told;
    }
    this.#track.enabled = this.#enabled;
    this.#callbacks.onMicUpdated?.(this.#device());
    this.#callbacks.onTrackStarted?.(this.#track, ME);
  }

  #device() {
    return { deviceId: this.#track.getSettings().deviceId ?? "default", kind: "audioinput", label: this.#track.label };
  }

  async #devices(kind) {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.kind === kind);
  }

  async #tellDevices() {
    this.#callbacks.onAvailableMicsUpdated?.(await this.getAllMics());
    this.#callbacks.onAvailableSpeakersUpdated?.(await this.getAllSpeakers());
  }
}

export class SmallWebRTCTransport extends Prebuilt {
  constructor(options = {}) {
    let self;
    const replaced = (track) => self?.pc && self.getAudioTransceiver().sender.replaceTrack(track);
    super({ ...options, mediaManager: new Microphone(replaced) });
    self = this;
  }

  /** The package's own stops the microphone with the old connection, which the new one uses as well. */
  closePeerConnection(connection) {
    for (const transceiver of connection.getTransceivers()) transceiver.stop();
    connection.close();
  }
}
