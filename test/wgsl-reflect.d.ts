// Types for the one file of wgsl_reflect that Node can load (its `main` is CommonJS text in a package of ES modules):
// those of the package itself. It holds no code.
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
