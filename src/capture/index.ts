/** Capture files: pcap and pcapng read and written, and recorders that keep what passes a link. */

export { CaptureDecoder } from './capture-decoder.ts';
export { captureLink } from './captured-link.ts';
export { type CaptureDamage, type CaptureDamageReason, captureDamageReasons } from './damage.ts';
export {
  type CaptureDirection,
  type CapturedPacket,
  type CaptureFormat,
  type CaptureFormatName,
  type CaptureInterface,
  type CaptureRecord,
  type CaptureTime,
  createCaptureRecord,
  MAX_CAPTURED_LEN,
} from './format.ts';
export { LinkType, linkTypeOfMedium, mediumOfLinkType, packetStart } from './link-type.ts';
export { pcapFormat } from './pcap.ts';
export { pcapngFormat } from './pcapng-writer.ts';
export { captureMedium } from './peek.ts';
export { openPlayer, type PlayedFile, type PlayerLink, type PlayerOptions, type SkipReason } from './player-link.ts';
export { openRecorder, type Recorder, type RecorderCounters, type RecorderOptions } from './recorder.ts';
export { openRecorderLink, type RecorderLink, type RecorderLinkOptions } from './recorder-link.ts';
