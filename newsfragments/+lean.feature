HTTP requests cost a tenth less of the processor, a boot storm about a twentieth less.
