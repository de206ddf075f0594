// A CYW43439 and the air around it, as far as MicroPython's driver on a Pico W asks for them. rp2040.mjs
// attaches it with --wifi.
//
// The driver's PIO program is not stepped: a state machine whose pins are the chip's (data 24, clock 29) is
// served whole words at its FIFOs, by DMA as ever. Nothing of the firmware that the driver loads is run; it
// has to arrive with an NVRAM of the length that is told, or the HT clock stays away. From there on the
// chip speaks SDPCM: ioctls, events and Ethernet frames.
//
// The air is a list of access points: {ssid, bssid, channel, rssi, password}; without a password it is open.
// Who has joined one that leaves the list loses the link. Not modelled: Bluetooth, being an access point,
// power that is saved, scans of one network, country and rates, which are accepted and forgotten.

const DATA = 24;
const CLOCK = 29;
const REG_ON = 23;

const RAM_SIZE = 512 * 1024;
const TEST = 0xfeedbead;
const PATTERN = 0x14; // its register; those of the bus have 5 bits
const INTERRUPT = 0x04;
const INTERRUPT_ENABLE = 0x06;
const STATUS = 0x08;
const PACKET = 0x20; // F2_PACKET_AVAILABLE, in interrupts
const READY = 0x20; // STATUS_F2_RX_READY
const PENDING = 0x100; // STATUS_F2_PKT_AVAILABLE

const CLOCK_CSR = 0x1000e;
const SLEEP_CSR = 0x1001f;
const WINDOW = 0x1000a; // three bytes, lowest first
const ARM = 0x18103000;
const SOCRAM = 0x18104000;
const RESET = 0x800; // RESETCTRL of a core's wrapper

const [CONTROL, EVENT, FRAME] = [0, 1, 2]; // channels of SDPCM
const CREDIT = 16; // frames that may come before the next of ours
const UNSUPPORTED = -23 >>> 0; // BCME_UNSUPPORTED

const DISASSOC = 52;
const GET_BSSID = 23;
const GET_SSID = 25;
const SET_SSID = 26;
const GET_CHANNEL = 29;
const GET_RSSI = 127;
const SET_WSEC = 134;
const GET_VAR = 262;
const SET_VAR = 263;
const SET_PMK = 268;

const [E_SET_SSID, E_AUTH, E_LINK, E_PSK_SUP, E_ESCAN] = [0, 3, 16, 46, 69];
const [SUCCESS, NO_NETWORKS, PARTIAL] = [0, 3, 8];
const [KEYED, WAIT_M3] = [6, 8]; // states of the supplicant, in the event's status
const DEAUTH = 14; // its reason: the access point has sent us away

const MS = 1e6;
const SCAN_MS = 40;
const JOIN_MS = 60;

// Of WPA2 with AES and a pre-shared key, for beacons.
const RSN = [0x30, 20, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 2, 0, 0];

const bytes = (mac) => mac.split(':').map((one) => parseInt(one, 16));
const swap = (word) => (((word & 0xff00ff) << 8) | ((word >>> 8) & 0xff00ff)) >>> 0; // of each 16 bits
const reverse = (word) => swap((word << 16) | (word >>> 16));

export class Radio {
  // send: takes an Ethernet frame from the board. air: {mac, points}.
  constructor(mcu, air, send) {
    this.mcu = mcu;
    this.air = air;
    this.send = send;
    this.alarms = new Set();
    this.reset();
    mcu.gpio[REG_ON].addListener(() => {
      if (!mcu.gpio[REG_ON].outputValue) this.reset();
    });
    mcu.pio.forEach((pio) => this.attach(pio));
  }

  reset() {
    this.alarms.forEach((alarm) => alarm.cancel());
    this.alarms.clear();
    this.bus = new Uint8Array(32);
    this.swapped = true; // 16-bit words until the host says otherwise
    this.ram = new Uint8Array(RAM_SIZE);
    this.backplane = new Map([[ARM + RESET, 1], [SOCRAM + RESET, 1], [0x18000000, 0xaf], [0x18000001, 0xa9]]);
    this.function1 = new Map();
    this.running = false;
    this.queue = [];
    this.sequence = 0;
    this.credit = 0;
    this.unanswered = 0;
    this.variables = new Map();
    this.values = new Map(); // of ioctls that set one number
    this.key = null;
    this.joined = null;
    this.interrupt();
  }

  // --- The PIO's state machines

  attach(pio) {
    const ours = (machine) => machine.outBase === DATA && machine.sidesetBase === CLOCK;
    const run = pio.run.bind(pio);
    pio.run = () => {
      if (pio.machines.some((machine) => machine.enabled && !ours(machine))) run();
      else pio.stopped = true;
    };
    pio.machines.forEach((machine, index) => {
      const [step, write, read] = ['step', 'writeFIFO', 'readFIFO'].map((name) => machine[name].bind(machine));
      let sent = [];
      let received = [];
      const fill = () => {
        while (received.length && !machine.rxFIFO.full) machine.rxFIFO.push(received.shift());
        machine.updateDMARx();
      };
      const feed = (word) => {
        sent.push(word >>> 0);
        if (sent.length * 32 !== machine.x + 1) return;
        const words = machine.y ? (machine.y + 1) / 32 : 0;
        received = this.transfer(sent, words);
        fill();
        pio.txStall |= 1 << (24 + index);
        pio.fdebug |= pio.txStall;
      };
      machine.step = () => {
        if (machine.enabled && !ours(machine)) step();
      };
      machine.writeFIFO = (word) => {
        if (!machine.enabled || !ours(machine)) {
          write(word);
          return;
        }
        pio.txStall &= ~(1 << (24 + index));
        feed(word);
      };
      machine.readFIFO = () => {
        const word = read();
        if (received.length) fill();
        return word;
      };
      machine.begin = () => {
        sent = [];
        received = [];
        while (!machine.txFIFO.empty) feed(machine.txFIFO.pull());
        machine.updateDMATx();
      };
    });
    const write = pio.writeUint32.bind(pio);
    pio.writeUint32 = (offset, value) => {
      const before = pio.machines.map((machine) => machine.enabled);
      write(offset, value);
      pio.machines.forEach((machine, i) => {
        if (machine.enabled && !before[i] && ours(machine)) machine.begin();
      });
    };
  }

  // --- gSPI: a command, then data in one of both directions

  // Take words as they are on the wire, highest bit first; give as many as are wanted.
  transfer(sent, wanted) {
    const order = this.swapped ? (word) => swap(reverse(word)) : reverse;
    const command = order(sent[0]);
    const [writing, number] = [command >>> 31, (command >>> 28) & 3];
    const [address, size] = [(command >>> 11) & 0x1ffff, command & 0x7ff];
    if (writing) {
      const data = new Uint8Array((sent.length - 1) * 4);
      const view = new DataView(data.buffer);
      sent.slice(1).forEach((word, i) => view.setUint32(i * 4, order(word), true));
      this.write(number, address, data.subarray(0, size));
      return [];
    }
    const data = new Uint8Array(wanted * 4);
    // Before what comes over the backplane the chip takes its time.
    data.set(this.read(number, address, size), (wanted - ((size + 3) >> 2)) * 4);
    const view = new DataView(data.buffer);
    return Array.from({ length: wanted }, (_, i) => order(view.getUint32(i * 4, true)));
  }

  read(number, address, size) {
    if (number === 2) return this.take(size);
    const one = number ? (at) => this.readBackplane(at) : (at) => this.readBus(at);
    return Uint8Array.from({ length: size }, (_, i) => one(address + i));
  }

  write(number, address, data) {
    if (number === 2) this.receive(data);
    else if (number) data.forEach((byte, i) => this.writeBackplane(address + i, byte));
    else data.forEach((byte, i) => this.writeBus(address + i, byte));
  }

  word(address, value) { return (value >>> ((address & 3) * 8)) & 0xff; }

  readBus(address) {
    if ((address & ~3) === PATTERN) return this.word(address, TEST);
    if ((address & ~3) === STATUS) {
      const pending = this.queue.length ? PENDING | (this.queue[0].length << 9) : 0;
      return this.word(address, (this.running ? READY : 0) | pending);
    }
    if (address === INTERRUPT) return this.queue.length ? PACKET : 0;
    if (address === 0x0c || address === 0x0e) return 3; // functions 1 and 2: enabled and ready
    return this.bus[address & 31];
  }

  writeBus(address, byte) {
    this.bus[address & 31] = byte;
    if (address === 0) this.swapped = !(byte & 1);
    this.interrupt();
  }

  // An address of function 1: registers of its own, or what its window shows.
  where(address) {
    if (address >= 0x10000) return null;
    const [low, middle, high] = [0, 1, 2].map((i) => this.function1.get(WINDOW + i) ?? 0);
    return (((high << 24) | (middle << 16) | ((low & 0x80) << 8)) >>> 0) + (address & 0x7fff);
  }

  readBackplane(address) {
    const at = this.where(address);
    if (at === null) {
      const value = this.function1.get(address) ?? 0;
      if (address === CLOCK_CSR) return value | (value & 0x09 ? 0x40 : 0) | (this.running ? 0xc0 : 0);
      if (address === SLEEP_CSR) return value & 1 ? 3 : 0;
      return value;
    }
    return at < RAM_SIZE ? this.ram[at] : this.backplane.get(at) ?? 0;
  }

  writeBackplane(address, byte) {
    const at = this.where(address);
    if (at === null) this.function1.set(address, byte);
    else if (at < RAM_SIZE) this.ram[at] = byte;
    else this.backplane.set(at, byte);
    if (at === ARM + RESET && !byte) {
      // What the firmware finds at the end of its RAM: how many words of NVRAM are before it.
      const size = this.ram[RAM_SIZE - 4] | (this.ram[RAM_SIZE - 3] << 8);
      const check = this.ram[RAM_SIZE - 2] | (this.ram[RAM_SIZE - 1] << 8);
      this.running = size > 0 && (size ^ check) === 0xffff && this.ram.subarray(0, 64).some((one) => one);
    }
  }

  interrupt() {
    const enabled = this.bus[INTERRUPT_ENABLE] & PACKET;
    this.mcu.gpio[DATA].setInputValue(Boolean(enabled && this.queue.length));
  }

  // --- SDPCM: frames of function 2

  take(size) {
    const frame = this.queue.shift() ?? new Uint8Array(size);
    this.interrupt();
    return frame.subarray(0, size);
  }

  put(channel, content) {
    // The driver copies an event to 2 bytes before it, as words: it has to lie for that.
    const header = channel === CONTROL || !content.length ? 12 : 14;
    const frame = new Uint8Array(header + content.length);
    const view = new DataView(frame.buffer);
    view.setUint16(0, frame.length, true);
    view.setUint16(2, ~frame.length & 0xffff, true);
    frame.set([this.sequence++ & 0xff, channel, 0, header, 0, (this.credit + CREDIT) & 0xff], 4);
    frame.set(content, header);
    this.unanswered = 0;
    this.queue.push(frame);
    this.interrupt();
  }

  receive(data) {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const size = view.getUint16(0, true);
    if ((size ^ view.getUint16(2, true)) !== 0xffff || size > data.length) return;
    const channel = data[5] & 15;
    this.credit = (data[4] + 1) & 0xff;
    const content = data.subarray(data[7], size);
    if (channel === CONTROL) {
      this.control(content);
    } else if (channel === FRAME) {
      if (this.joined) this.send(content.subarray(4 + content[3] * 4));
      if (++this.unanswered > CREDIT / 2) this.put(CONTROL, []); // nothing but its credit
    }
  }

  // An Ethernet frame from the access point.
  deliver(frame) {
    if (this.joined) this.put(FRAME, [0x20, 0, 0, 0, ...frame]);
  }

  control(request) {
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    const payload = request.subarray(16, 16 + (view.getUint32(4, true) & 0xffff));
    const command = view.getUint32(0, true);
    const answer = this.ioctl(command, payload, view.getUint32(8, true) & 2);
    const reply = new Uint8Array(16 + payload.length);
    reply.set(request.subarray(0, 16));
    if (answer) reply.set(answer.slice(0, payload.length), 16);
    else new DataView(reply.buffer).setUint32(12, UNSUPPORTED, true);
    this.put(CONTROL, reply);
  }

  later(ms, action) {
    const alarm = this.mcu.clock.createAlarm(() => {
      this.alarms.delete(alarm);
      action();
    });
    this.alarms.add(alarm);
    alarm.schedule(ms * MS);
  }

  // --- What the firmware does

  // The value that an ioctl gives, in bytes; null if there is no such one.
  ioctl(command, payload, setting) {
    const number = (value) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
    const mine = this.joined;
    if (command === GET_VAR || command === SET_VAR) {
      const end = payload.indexOf(0);
      const name = Buffer.from(payload.subarray(0, end)).toString();
      const value = payload.slice(end + 1);
      if (command === SET_VAR) {
        if (name === 'escan') this.scan();
        else if (name === 'join') this.join(value);
        else this.variables.set(name, value);
        return [];
      }
      if (name === 'cur_etheraddr') return this.variables.get(name) ?? bytes(this.air.mac);
      return this.variables.get(name) ?? new Uint8Array(payload.length);
    }
    if (command === SET_SSID) this.join(payload);
    if (command === DISASSOC) this.lose();
    if (command === SET_PMK) {
      this.key = Buffer.from(payload.subarray(4, 4 + (payload[0] | (payload[1] << 8)))).toString();
    }
    if (setting) {
      this.values.set(command, payload.slice());
      return [];
    }
    if (command === GET_BSSID) return mine && bytes(mine.bssid);
    if (command === GET_SSID) return [...number(mine?.ssid.length ?? 0), ...Buffer.from(mine?.ssid ?? '')];
    if (command === GET_CHANNEL) return [mine, mine, null].flatMap((one) => number(one?.channel ?? 0));
    if (command === GET_RSSI) return number(mine?.rssi ?? 0);
    return this.values.get(command + 1) ?? new Uint8Array(payload.length);
  }

  event(type, status, reason = 0, flags = 0, data = []) {
    const event = new Uint8Array(28 + 48 + data.length);
    const view = new DataView(event.buffer);
    event[0] = 0x20;
    event.set(bytes(this.air.mac), 4);
    event.set(bytes(this.joined?.bssid ?? '00:00:00:00:00:00'), 10);
    event.set([0x88, 0x6c, 0x80, 1, 0, 0, 0, 0x00, 0x10, 0x18, 0, 1], 16);
    view.setUint16(20, 48 + data.length);
    view.setUint16(28, 2);
    view.setUint16(30, flags);
    [type, status, reason, 0, data.length].forEach((value, i) => view.setUint32(32 + i * 4, value));
    event.set(Buffer.from('wl0'), 58);
    event.set(data, 76);
    this.put(EVENT, event);
  }

  scan() {
    this.later(SCAN_MS, () => {
      this.air.points.forEach((point) => this.event(E_ESCAN, PARTIAL, 0, 0, this.beacon(point)));
      this.event(E_ESCAN, SUCCESS);
    });
  }

  // wl_escan_result with one wl_bss_info, version 109, and its information elements.
  beacon(point) {
    const elements = point.password ? RSN : [];
    const data = new Uint8Array(12 + 128 + elements.length);
    const view = new DataView(data.buffer);
    const ssid = Buffer.from(point.ssid);
    view.setUint32(0, data.length, true);
    view.setUint32(4, 109, true);
    view.setUint16(10, 1, true);
    view.setUint32(12, 109, true);
    view.setUint32(16, data.length - 12, true);
    data.set(bytes(point.bssid), 20);
    view.setUint16(26, 100, true);
    view.setUint16(28, point.password ? 0x11 : 0x01, true);
    data[30] = ssid.length;
    data.set(ssid, 31);
    view.setUint16(84, 0x1000 | point.channel, true);
    view.setInt16(90, point.rssi, true);
    view.setUint16(128, 128, true);
    view.setUint32(132, elements.length, true);
    data.set(elements, 140);
    return data;
  }

  // wlc_ssid: its length, 32 bits, and the name.
  join(value) {
    const ssid = Buffer.from(value.subarray(4, 4 + value[0])).toString();
    this.joined = null;
    this.later(JOIN_MS, () => {
      const point = this.air.points.find((one) => one.ssid === ssid);
      const secure = this.values.get(SET_WSEC)?.[0];
      if (!point || Boolean(point.password) !== Boolean(secure)) {
        this.event(E_SET_SSID, NO_NETWORKS);
        return;
      }
      this.event(E_AUTH, SUCCESS);
      if (point.password && point.password !== this.key) {
        this.event(E_PSK_SUP, WAIT_M3, DEAUTH);
        return;
      }
      this.joined = point;
      this.event(E_LINK, SUCCESS, 0, 1);
      if (point.password) this.event(E_PSK_SUP, KEYED);
      this.event(E_SET_SSID, SUCCESS);
    });
  }

  lose() {
    if (!this.joined) return;
    this.event(E_LINK, SUCCESS, 1, 0);
    this.joined = null;
  }

  // The air has changed.
  listen() {
    const { joined } = this;
    if (joined && !this.air.points.some((one) => one.bssid === joined.bssid)) this.lose();
  }
}
