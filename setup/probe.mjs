// Run in a child process by adapter.mjs: asks Dawn for a WebGPU adapter under the environment given to it and prints
// one line of JSON, {"adapter": {...} | null}. A process of its own, because a bad Vulkan driver can take it down.
import { create } from 'webgpu';

const gpu = create([]);
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
const describe = ({ vendor, architecture, device, description, isFallbackAdapter }) => ({
  name: [vendor, architecture, device, description].filter(Boolean).join(' '),
  software: isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(`${device} ${description}`),
});
console.log(JSON.stringify({ adapter: adapter ? describe(adapter.info) : null }));
process.exit(gpu ? 0 : 1); // names `gpu` last: Dawn's instance must outlive the await
