/**
 * What a client of a screen sends, taken apart into messages of RFB (RFC 6143, and what QEMU knows beyond it). Their lengths have to be known
 * to tell which of them move the guest's keys and pointer. A message that is not known ends the connection: nobody can tell where the next
 * one begins.
 */

export interface RfbMessage {
  /** The parts of the greeting, then the number of the message. */
  readonly type: 'version' | 'security' | 'init' | number;
  readonly bytes: Buffer;
  /** The guest feels it: keys, pointer, clipboard, the size of its screen, its power. */
  readonly acts: boolean;
}

const cutTextBytesMax = 2 ** 20;
/** Key, pointer, clipboard, power (xvp), size of the desktop. */
const acting = new Set([4, 5, 6, 250, 251]);
/** QEMU's own: its first kind are keys, too. */
const qemuMessage = 255;

type Length = (head: Buffer) => number | undefined;
const fixed =
  (length: number): Length =>
  () =>
    length;
/** With a count in it, once so much of it is there. */
const counted =
  (at: number, size: 1 | 2, length: (count: number) => number): Length =>
  (head) =>
    head.length < at + size ? undefined : length(head.readUIntBE(at, size));

const lengths: Readonly<Record<number, Length>> = {
  0: fixed(20), // SetPixelFormat
  2: counted(2, 2, (encodings) => 4 + 4 * encodings), // SetEncodings
  3: fixed(10), // FramebufferUpdateRequest
  4: fixed(8), // KeyEvent
  5: fixed(6), // PointerEvent
  6: (head) => (head.length < 8 ? undefined : 8 + cutText(head.readInt32BE(4))), // ClientCutText
  150: fixed(10), // EnableContinuousUpdates
  248: counted(8, 1, (bytes) => 9 + bytes), // ClientFence
  250: fixed(4), // xvp
  251: counted(6, 1, (screens) => 8 + 16 * screens), // SetDesktopSize
  [qemuMessage]: qemuLength,
};

/** Takes what has come, and gives the messages that are whole. Throws at one that is not known. */
export function rfbInput(): (chunk: Buffer) => readonly RfbMessage[] {
  const greeting: ('version' | 'security' | 'init')[] = ['version', 'security', 'init'];
  let rest: Buffer = Buffer.alloc(0);

  function* messages(): Generator<RfbMessage> {
    for (;;) {
      const step = greeting[0];
      const length = step === undefined ? lengthOf(rest) : step === 'version' ? 12 : 1;
      if (length === undefined || rest.length < length) return;
      const bytes = rest.subarray(0, length);
      rest = rest.subarray(length);
      if (step === undefined) {
        yield { type: bytes[0]!, bytes, acts: isActing(bytes) };
        continue;
      }
      greeting.shift();
      // Before 3.7 the server says alone how to prove who one is.
      if (step === 'version' && minorOf(bytes) < 7) greeting.shift();
      yield { type: step, bytes, acts: false };
    }
  }

  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    return [...messages()];
  };
}

/** undefined while too little of it is there. */
function lengthOf(head: Buffer): number | undefined {
  if (head.length === 0) return undefined;
  const length = lengths[head[0]!];
  if (!length) throw new Error(`a client sent the message ${head[0]}, which RFB does not have`);
  return length(head);
}

function isActing(message: Buffer): boolean {
  return acting.has(message[0]!) || (message[0] === qemuMessage && message[1] === 0);
}

/** The longer form of the clipboard has its length as a negative number. */
function cutText(length: number): number {
  if (Math.abs(length) > cutTextBytesMax) throw new Error(`a client sent ${Math.abs(length)} bytes of clipboard`);
  return Math.abs(length);
}

/** Keys with their scan codes; sound: on, off, and its form. */
function qemuLength(head: Buffer): number | undefined {
  if (head.length < 4) return undefined;
  if (head[1] === 0) return 12;
  if (head[1] === 1) return head.readUInt16BE(2) === 2 ? 10 : 4;
  throw new Error(`a client sent the message ${qemuMessage}/${head[1]}, which QEMU does not have`);
}

function minorOf(version: Buffer): number {
  const [, minor] = /^RFB 003\.(\d{3})\n$/.exec(version.toString('latin1')) ?? [];
  if (minor === undefined) throw new Error('a client does not speak RFB');
  return Number(minor);
}
