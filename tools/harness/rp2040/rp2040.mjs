// An RP2040 board that runs a real image: rp2040js with what it lacks. tools/harness/board.py starts it.
//
//   node rp2040.mjs --modules build/emulator/node_modules --bootrom FILE --flash FILE --fds N,N,N,N
//                   [--image UF2] [--full-speed] [--wifi MAC]
//
// The file descriptors are connected sockets: USB serial, UART0, UART1 and control; with --wifi a fifth,
// Ethernet frames, each behind its length in 16 bits, big-endian. cyw43.mjs is the chip then, of this
// address, and {"command": "air", "points": [...]} tells it which access points there are from now on.
// Control speaks JSON
// lines. To here: {"command": "reset"}, {"command": "stats"}, {"command": "cut", "after": n,
// "tear": "nothing" | "half" | "garbage"} which lets power fail in the n-th flash operation from now, 0
// being the next, of which nothing, the first half, or a random part of its bits has happened, and
// {"command": "paint"}: the unused C stack is painted, and stats tell how much of it still is.
// {"command": "hurry", "times": n}: a cycle takes n times as long as one at 125 MHz, and idle time
// passes at once; with 0 all is as it was. From here: {"event": "usb"} when the serial port is there,
// "reset", "cut", "stats" with its figures, and twice a second "clock" with the seconds that have been
// emulated.
//
// The flash is the file: every erased sector and programmed page is written to it at once, so that
// what a killed process leaves is what a power cut leaves. An image given is written to it first.
//
// What rp2040js 1.4.1 lacks, and is mended here from outside:
// - its flash ignores writes: a JEDEC chip behind the SSI
// - the watchdog does not reset the chip, and expires for ever: a new machine with the old one's flash
//   and scratch registers
// - an UART raises its transmit interrupt at every check, and knows no receive time-out
// - an armed USB OUT endpoint is answered with empty packets every 10 us
// - it is at absolute zero: here the ADC's temperature sensor has 27 degrees Celsius
//
// What no RP2040 has: at COUNT, 0x40070000, reads the number of instructions so far, 30 bits; behind it
// that of their cycles, which the flash always serves at once; then what {"command": "word", "value": n}
// has said, 0 without it.
import fs from 'node:fs';
import net from 'node:net';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Radio } from './cyw43.mjs';

const args = {};
for (let i = 2; i < process.argv.length; i++) {
  const next = process.argv[i + 1];
  args[process.argv[i].slice(2)] = next && !next.startsWith('--') ? process.argv[++i] : true;
}
const require = createRequire(path.resolve(args.modules, 'from-here.js'));
const { BasePeripheral, ConsoleLogger, LogLevel, Simulator, USBCDC } = require('rp2040js');

console.warn = () => {}; // rp2040js tells so of every register that it does not have

const XIP = 0x10000000;
const FLASH_SIZE = 2 * 1024 * 1024;
const SECTOR = 4096;
const BLOCK = 65536;
const PAGE = 256;
const CYCLE_NS = 1e9 / 125e6;

// Addresses of what is replaced, as rp2040js has them: APB ones without their lowest 12 bits.
const SSI = 0x18000;
const IO_QSPI = 0x40018;
const WATCHDOG = 0x40058;
const ROSC = 0x40060;
const VREG = 0x40064;
const COUNT = 0x40070;

// --- Flash: kept in a file, with power that can fail.

const flashFile = fs.openSync(args.flash, fs.existsSync(args.flash) ? 'r+' : 'w+');
const flash = new Uint8Array(FLASH_SIZE).fill(0xff);
fs.readSync(flashFile, flash, 0, FLASH_SIZE, 0);
if (args.image) {
  const uf2 = fs.readFileSync(args.image);
  for (let i = 0; i < uf2.length; i += 512) {
    const at = uf2.readUInt32LE(i + 12) - XIP;
    flash.set(uf2.subarray(i + 32, i + 32 + uf2.readUInt32LE(i + 16)), at);
  }
}
fs.writeSync(flashFile, flash, 0, FLASH_SIZE, 0);

let erases = 0;
let programs = 0;
let cut = null; // { after, tear }

// Let `wanted` be what the flash has at `at`, as far as power lasts.
function change(at, wanted, memory) {
  const tear = cut && cut.after-- === 0 ? cut.tear : null;
  let end = wanted.length;
  if (tear === 'nothing') end = 0;
  if (tear === 'half') end >>= 1;
  for (let i = 0; i < end; i++) {
    const old = flash[at + i];
    flash[at + i] = tear === 'garbage' ? old ^ ((old ^ wanted[i]) & (Math.random() * 256)) : wanted[i];
  }
  fs.writeSync(flashFile, flash, at, wanted.length, at);
  memory.set(flash.subarray(at, at + wanted.length), at);
  if (tear) stop({ event: 'cut' });
}

class Chip extends BasePeripheral {
  // The SSI and the flash chip behind it. The boot ROM drives its chip select by IO_QSPI, the second
  // stage loader leaves that to the SSI.
  constructor(rp2040) {
    super(rp2040, 'SSI');
    this.registers = {};
    this.received = [];
    this.sent = [];
    this.selected = false;
    this.automatic = true;
    this.writable = false;
  }

  select(low) {
    if (low === this.selected) return;
    this.selected = low;
    if (low) {
      this.sent = [];
      this.received = [];
    } else {
      this.apply();
    }
  }

  apply() {
    const [command, a, b, c, ...data] = this.sent;
    const at = ((a << 16) | (b << 8) | c) & (FLASH_SIZE - 1);
    const memory = this.rp2040.flash;
    this.sent = [];
    if ((command === 0x20 || command === 0xd8) && c !== undefined) {
      const size = command === 0x20 ? SECTOR : BLOCK;
      if (this.writable) {
        // A block is erased sector by sector here: a cut may come between any two.
        for (let sector = at & ~(size - 1); sector < (at & ~(size - 1)) + size; sector += SECTOR) {
          change(sector, new Uint8Array(SECTOR).fill(0xff), memory);
          erases++;
        }
      }
      this.writable = false;
    } else if (command === 0x02 && data.length) {
      if (this.writable) {
        const page = at & ~(PAGE - 1);
        const wanted = flash.slice(page, page + PAGE);
        data.forEach((byte, i) => { wanted[(at + i) & (PAGE - 1)] &= byte; });
        change(page, wanted, memory);
        programs++;
      }
      this.writable = false;
    }
  }

  shift(byte) {
    this.sent.push(byte);
    const [command, a, b, c] = this.sent;
    const n = this.sent.length - 1;
    if (n === 0) {
      if (byte === 0x06) this.writable = true;
      if (byte === 0x04) this.writable = false;
      return 0xff;
    }
    if (command === 0x05) return this.writable ? 2 : 0;
    if (command === 0x35) return 2; // quad enable
    if (command === 0x9f) return [0xef, 0x40, 0x15][n - 1] ?? 0;
    if (command === 0x4b) return n < 5 ? 0xff : 0x42; // unique id
    if (command === 0x03 && n >= 4) return flash[((a << 16) | (b << 8) | c) + n - 4];
    return 0xff;
  }

  readUint32(offset) {
    switch (offset) {
      case 0x20: return 0;
      case 0x24: return this.received.length;
      case 0x28: return 6 | (this.received.length ? 8 : 0);
      case 0x58: return 0x51535049;
      case 0x60: {
        const value = this.received.length ? this.received.shift() : 0;
        if (this.automatic && !this.received.length) this.apply();
        return value;
      }
    }
    return this.registers[offset] ?? 0;
  }

  writeUint32(offset, value) {
    if (offset === 0x60) {
      const selected = this.selected || this.automatic;
      if (this.registers[8]) this.received.push(selected ? this.shift(value & 0xff) : 0xff);
      return;
    }
    if (offset === 8 && !value) {
      this.received = [];
      this.sent = [];
    }
    this.registers[offset] = value;
  }
}

class Registers extends BasePeripheral {
  // Plain registers, with functions that see what is read and written.
  constructor(rp2040, name, onRead, onWrite) {
    super(rp2040, name);
    this.registers = {};
    this.onRead = onRead;
    this.onWrite = onWrite;
  }

  readUint32(offset) { return this.onRead?.(offset) ?? this.registers[offset] ?? 0; }

  writeUint32(offset, value) {
    this.registers[offset] = value;
    this.onWrite?.(offset, value);
  }
}

// --- The machine

const rom = fs.readFileSync(args.bootrom);
const bootrom = new Uint32Array(rom.buffer, rom.byteOffset, rom.length / 4);

function mendUart(uart) {
  uart.sent = [];
  uart.onByte = (byte) => uart.sent.push(byte);
  uart.checkInterrupts = function () {
    this.rp2040.setInterrupt(this.irq, !!(this.interruptStatus & this.interruptMask));
  };
  const write = uart.writeUint32.bind(uart);
  uart.writeUint32 = function (offset, value) {
    write(offset, value);
    if (offset === 0) { // sent at once: there is room again
      this.interruptStatus |= 0x20;
      this.checkInterrupts();
    }
  };
}

function makeMachine(before) {
  const simulator = new Simulator();
  const mcu = simulator.rp2040;
  const chip = new Chip(mcu);
  mcu.logger = new ConsoleLogger(LogLevel.Error);
  mcu.logger.error = () => {};
  mcu.peripherals[SSI] = chip;
  mcu.peripherals[IO_QSPI] = new Registers(mcu, 'IO_QSPI', null, (offset, value) => {
    if (offset === 0x0c) {
      const override = (value >> 8) & 3;
      chip.automatic = override === 0;
      chip.select(override === 2);
    }
  });
  mcu.peripherals[ROSC] = new Registers(mcu, 'ROSC', (offset) => {
    if (offset === 0x1c) return Math.random() < 0.5 ? 0 : 1;
    return offset === 0x18 ? 0x80001000 : undefined;
  });
  mcu.peripherals[VREG] = new Registers(mcu, 'VREG');
  mcu.peripherals[COUNT] = new Registers(mcu, 'COUNT', (offset) => (
    offset === 8 ? word : (offset ? cycles : instructions) % 0x40000000));
  mcu.adc.channelValues[4] = 876; // of 4,096: 0.706 V
  mcu.uart.forEach(mendUart);
  mcu.loadBootrom(bootrom); // it fills the flash with 0xff
  mcu.flash.set(flash);
  if (before) {
    const [old, now] = [before.mcu.peripherals[WATCHDOG], mcu.peripherals[WATCHDOG]];
    now.reason = old.reason;
    now.scratchData.set(old.scratchData);
  }
  const dog = mcu.peripherals[WATCHDOG];
  dog.onWatchdogTrigger = () => { // its alarm would go off again and again
    resetting = true;
    dog.alarm.enable = false;
    dog.timer.enable = false;
  };
  const usb = new USBCDC(mcu.usbCtrl);
  usb.onDeviceConnected = () => tell({ event: 'usb' });
  usb.onSerialData = (data) => ports[0].socket.write(Buffer.from(data));
  let armed = 0;
  usb.pump = () => {
    if (!armed || !usb.txFIFO.itemCount) return;
    const data = new Uint8Array(Math.min(armed, usb.txFIFO.itemCount));
    for (let i = 0; i < data.length; i++) data[i] = usb.txFIFO.pull();
    armed = 0;
    mcu.usbCtrl.endpointReadDone(usb.outEndpoint, data);
  };
  mcu.usbCtrl.onEndpointRead = (endpoint, size) => {
    if (endpoint === usb.outEndpoint) {
      armed = size;
      usb.pump();
    }
  };
  mcu.core.PC = XIP;
  const radio = args.wifi && new Radio(mcu, air, sendFrame);
  return { simulator, mcu, usb, radio };
}

// --- The world

const started = process.hrtime.bigint();
const wall = () => Number(process.hrtime.bigint() - started) / 1e9;
const emulated = () => past + machine.simulator.clock.nanos / 1e9;
const CLOCK_S = 0.5;

let past = 0; // seconds emulated before the last reset
let instructions = 0;
let cycles = 0;
let resets = 0;
let resetting = false;
let stopped = false;
let word = 0;
let hurry = 0;
let gained = 0; // seconds that emulated time was ahead when the hurry ended
let told = 0; // when the clock was

const fds = args.fds.split(',').map(Number);
const ports = fds.slice(0, 3).map((fd) => {
  const socket = new net.Socket({ fd, readable: true, writable: true });
  const port = { socket, waiting: [], next: 0 };
  socket.on('data', (data) => port.waiting.push(...data));
  socket.on('error', () => {});
  return port;
});

function take(port) {
  const byte = port.waiting[port.next++];
  if (port.next === port.waiting.length) {
    port.waiting = [];
    port.next = 0;
  }
  return byte;
}

const air = { mac: args.wifi, points: [] };
let sendFrame;
if (args.wifi) {
  const socket = new net.Socket({ fd: fds[4], readable: true, writable: true });
  sendFrame = (frame) => socket.write(Buffer.concat([Buffer.from([frame.length >> 8, frame.length & 0xff]), frame]));
  let waiting = Buffer.alloc(0);
  socket.on('data', (data) => {
    waiting = Buffer.concat([waiting, data]);
    while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE()) {
      const end = 2 + waiting.readUInt16BE();
      machine.radio.deliver(waiting.subarray(2, end));
      waiting = waiting.subarray(end);
    }
  });
  socket.on('error', () => {});
}

const control = new net.Socket({ fd: fds[3], readable: true, writable: true });
let line = '';
control.on('data', (data) => {
  line += data;
  const lines = line.split('\n');
  line = lines.pop();
  for (const one of lines) {
    const { command, ...rest } = JSON.parse(one);
    if (command === 'reset') resetting = true;
    if (command === 'cut') cut = rest;
    if (command === 'hurry') hurry = rest.times;
    if (command === 'air') {
      air.points = rest.points;
      machine.radio.listen();
    }
    if (command === 'word') word = rest.value;
    if (command === 'paint') paint();
    if (command === 'stats') {
      const stack = unused();
      tell({ event: 'stats', instructions, emulated_s: emulated(), resets, erases, programs, stack });
    }
  }
});
control.on('close', () => process.exit());
control.on('error', () => process.exit());

function tell(event, then) { control.write(JSON.stringify(event) + '\n', then); }

function stop(event) {
  stopped = true;
  tell(event, () => process.exit());
}

// MicroPython's C stack: 8 KB at the end of the RAM, down to here.
const STACK = 0x40000;
const PAINT = 0x5a;

function paint() {
  const { mcu } = machine;
  mcu.sram.fill(PAINT, STACK, mcu.core.SP - 0x20000000 - 64);
}

function unused() {
  let n = 0;
  while (machine.mcu.sram[STACK + n] === PAINT) n++;
  return n;
}

let machine = makeMachine(null);

function slice() {
  const { simulator, mcu, usb } = machine;
  const { core } = mcu;
  const { clock } = simulator;
  const cycle = CYCLE_NS * (hurry || 1);
  let idle = 0;
  for (let n = 0; n < 100000 && !resetting && !stopped; n++) {
    if (core.waiting) {
      const ns = clock.nextAlarm ? Math.min(clock.nanosToNextAlarm, 1e6) : 1e6;
      clock.tick(ns);
      idle += ns;
      n += 50;
      if (idle >= 1e6) break; // let the world speak after a millisecond
    } else {
      const took = core.executeInstruction();
      clock.tick(took * cycle);
      cycles += took;
      instructions++;
    }
  }
  if (stopped) return;
  mcu.uart.forEach((uart, i) => {
    if (uart.sent.length) ports[1 + i].socket.write(Buffer.from(uart.sent.splice(0)));
  });
  if (resetting) {
    resetting = false;
    resets++;
    past += clock.nanos / 1e9;
    machine = makeMachine(machine);
    tell({ event: 'reset' });
    setImmediate(slice);
    return;
  }
  while (ports[0].waiting.length && !usb.txFIFO.full) usb.sendSerialByte(take(ports[0]));
  usb.pump();
  mcu.uart.forEach((uart, i) => {
    const port = ports[1 + i];
    if (port.waiting.length) {
      while (port.waiting.length && !uart.rxFIFO.full) uart.feedByte(take(port));
      uart.interruptStatus |= 0x40; // receive time-out
      uart.checkInterrupts();
    }
  });
  if (wall() - told > CLOCK_S) {
    told = wall();
    tell({ event: 'clock', emulated_s: emulated() });
  }
  const full = args['full-speed'] || hurry;
  if (full) gained = emulated() - wall();
  const ahead = emulated() - wall() - gained;
  if (!full && ahead > 0.004) setTimeout(slice, ahead * 1000);
  else setImmediate(slice);
}
slice();
