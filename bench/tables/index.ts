// The tables by their names. Not here: what a table is (definition.ts).

import { ablationsTable } from './ablations.ts';
import { addingTable } from './adding.ts';
import { copyingTable } from './copying.ts';
import type { TableDefinition } from './definition.ts';
import { smnistTable } from './smnist.ts';

/** All tables, by their names. */
export const DEFINITIONS: Readonly<Record<TableDefinition['name'], TableDefinition>> = {
  copying: copyingTable,
  adding: addingTable,
  smnist: smnistTable,
  ablations: ablationsTable,
};
