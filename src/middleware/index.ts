/** Links around links: impairment, shaping, compression, MSS clamping; each end stays a `PacketLink`. */

export { type ClampedLink, type ClampMssOptions, clampMss } from './clamp-mss.ts';
export { type CompressedLink, type CompressOptions, compress } from './compress.ts';
export { COMPRESSION_HEADER_LEN, type CompressorCounters } from './compression.ts';
export type { BurstLoss } from './gilbert-elliott.ts';
export { type ImpairedLink, type ImpairOptions, impair } from './impair.ts';
export type { ImpairmentCounters } from './impairment.ts';
export {
  type ImpairmentDirection,
  type ImpairmentStep,
  parseImpairmentSchedule,
} from './impairment-schedule.ts';
export type { ImpairmentSettings } from './impairment-settings.ts';
export { impairmentSettingNames, parseImpairment } from './impairment-text.ts';
export type { JitterDistribution } from './jitter.ts';
export { findMss, lowerMss, MSS_OVERHEAD_V4, MSS_OVERHEAD_V6 } from './mss.ts';
export { type ShapedLink, type ShapeOptions, shape } from './shape.ts';
export { parseShape } from './shape-text.ts';
export type { ShapeSettings } from './shaper.ts';
export { type MiddlewareDropReason, middlewareDropReasons, type StageCounters } from './stage.ts';
export type { SettingMistake } from './text.ts';
