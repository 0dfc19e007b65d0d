// The worker of workerpool.

import workerpool from 'workerpool';

import { echo, who } from './work.mjs';

workerpool.worker({ echo, who });
