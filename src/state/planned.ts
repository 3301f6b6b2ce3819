/** What the parts of a plan tell each other. */

import type { LinkRef } from '../changes/index.ts';
import type { DeviceConfig } from '../config/index.ts';
import type { LinkInfo } from '../netlink/index.ts';
import type { Place } from './places.ts';

/** Why a configuration cannot be brought about without touching what is not vnic's. */
export interface Conflict {
  /** Where in the configuration, for example `devices.tap0.kind`. */
  readonly path: string;
  readonly reason: string;
  readonly hint: string;
}

/** A device with what it will be. */
export interface PlannedDevice {
  readonly config: DeviceConfig;
  readonly link: LinkRef;
  /** As it is; undefined for one that is made. */
  readonly current: LinkInfo | undefined;
  /** Made by us, now or before. */
  readonly own: boolean;
  readonly place: Place;
}
