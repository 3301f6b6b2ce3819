/** `npm run schema`: writes docs/vnic.schema.json from the description of the configuration file. */

import { writeFileSync } from 'node:fs';

import { configJsonSchema } from '../dist/config/index.js';
import { inRoot } from './process.mjs';

writeFileSync(inRoot('docs/vnic.schema.json'), `${JSON.stringify(configJsonSchema, undefined, 2)}\n`);
