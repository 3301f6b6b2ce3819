/** Opens the TUN device of that name and prints its name, or prints the code of the error and ends with its status. */

import { TunDevice } from '../../dist/tun/index.js';

try {
  const device = await TunDevice.open({ name: process.argv[2] });
  console.log(device.name);
  await device.close();
} catch (error) {
  console.log(error.code);
  process.exitCode = error.exitStatus ?? 70;
}
