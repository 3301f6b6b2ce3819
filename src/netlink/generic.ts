/**
 * Generic netlink: families of messages that have no number of their own, found by name.
 * Source: `include/uapi/linux/genetlink.h`; the header before the attributes is
 *
 *   0 command u8 | 1 version u8 | 2 reserved u16
 */

import { VnicError } from '../base/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { CtrlAttr, CtrlCmd, GENL_ID_CTRL, NETLINK_GENERIC } from './constants.ts';
import { type Attributes, type MessageBuilder, type MessageFault, parseBody } from './message.ts';
import type { RequestContext } from './request-error.ts';
import { requestMessage, requestSync } from './socket.ts';

const GENERIC_HEADER_LEN = 4;
const VERSION = 1;

// By name. The kernel numbers a family when it is registered and keeps the number while it is there.
const families = new Map<string, number>();

/** A command of a family, and what takes its answers. */
export interface GenericRequest extends RequestContext {
  readonly family: string;
  readonly command: number;
  /** Appends the attributes. */
  readonly fill: (builder: MessageBuilder) => void;
  readonly onAnswer?: (attributes: Attributes) => void;
}

/**
 * Does one request on a socket of its own, without waiting.
 * @throws VNIC_UNSUPPORTED when this kernel has no such family or command, and what `requestSync` throws
 */
export function genericRequestSync(request: GenericRequest, options: NetnsOptions = {}): void {
  const { family, fill, command, onAnswer, ...context } = request;
  const message = requestMessage(familyId(family, context)).fixed(GENERIC_HEADER_LEN, putHeader(command));
  fill(message);
  const onMessage = ({ body }: { body: Uint8Array }): MessageFault | undefined => {
    const parsed = parseBody(body, GENERIC_HEADER_LEN);
    if (typeof parsed === 'string') return parsed;
    onAnswer?.(parsed.attributes);
    return undefined;
  };
  requestSync({ ...context, message, onMessage }, { ...options, protocol: NETLINK_GENERIC });
}

function familyId(name: string, context: RequestContext): number {
  const known = families.get(name);
  if (known !== undefined) return known;
  let id: number | undefined;
  const message = requestMessage(GENL_ID_CTRL).fixed(GENERIC_HEADER_LEN, putHeader(CtrlCmd.GETFAMILY));
  const onMessage = ({ body }: { body: Uint8Array }): MessageFault | undefined => {
    const parsed = parseBody(body, GENERIC_HEADER_LEN);
    if (typeof parsed === 'string') return parsed;
    id = parsed.attributes.u16(CtrlAttr.FAMILY_ID);
    return undefined;
  };
  const { attempted } = context;
  requestSync(
    {
      subject: 'family',
      attempted,
      call: 'CTRL_CMD_GETFAMILY',
      message: message.text(CtrlAttr.FAMILY_NAME, name),
      onMessage,
    },
    { protocol: NETLINK_GENERIC },
  );
  if (id === undefined) {
    throw new VnicError('VNIC_NETLINK', {
      attempted,
      reason: `the kernel tells no number of the family ${name}`,
      hint: 'This is a bug of vnic or of the kernel: please report it with the kernel version.',
      syscall: 'CTRL_CMD_GETFAMILY',
    });
  }
  families.set(name, id);
  return id;
}

function putHeader(command: number): (view: DataView) => void {
  return (view) => {
    view.setUint8(0, command);
    view.setUint8(1, VERSION);
  };
}
