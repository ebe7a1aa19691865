"""Handwritten digits on the sphere: ``healswin-prep mnist``.

A canvas with one or several digits is projected onto the sphere, turned, and sampled on a grid, as
in Cohen et al. 2018 (Spherical CNNs, ICLR, section 5.2) for classification and in Gerken et al.
2022 (Equivariance versus Augmentation for Spherical Images, ICML, section 4.1) for segmentation.

* `idx`: the files of MNIST and of data sets in its form;
* `originals`: where the digits come from: files, a download, or those that scikit-learn holds;
* `projection`: the geometry, a correct sampling and the published one;
* `canvas`: items placed without overlap;
* `drawing`: what each sample shows and how it is turned;
* `conversion`: the arguments;
* `prepare`: the prepared set.
"""
